"""What a served model makes of a prompt, down to token ids and log-probabilities where the engine tells them."""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.engines import keys
from freehold.errors import UpstreamError
from freehold.late import aiohttp
from freehold.preparing.request import asked
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.record import Record

SECONDS = 300.0


class Transcript(Record, frozen=True, kw_only=True):
    """A greedy answer. Ids and log-probabilities are None where the engine does not tell them.

    `prompt_tokens` is the engine's own count, which `prompt_ids` must agree with. `called`: the engine read tool
    calls from the answer, which are then not in `text`.
    """

    prompt_ids: tuple[int, ...] | None
    prompt_tokens: int | None
    text: str
    answer_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None
    finish_reason: str | None
    called: bool = False


async def transcript(
    endpoint: Endpoint,
    model: str,
    messages: list[dict[str, Any]],
    *,
    tools: list[dict[str, Any]] | None = None,
    max_tokens: int,
) -> Transcript:
    """Ask greedily, with log-probabilities where promised. Raises `UpstreamError`."""
    served = endpoint.served(model) or ServedModel(name=model, upstream_name=model)
    body: dict[str, Any] = {
        "messages": messages,
        "temperature": 0,
        "max_tokens": max_tokens,
        **({"tools": tools} if tools else {}),
        **({"logprobs": True, "top_logprobs": 1} if endpoint.capabilities.logprobs else {}),
        **({"return_token_ids": True} if endpoint.engine_kind.tells_tokens == "return_token_ids" else {}),
    }
    body = asked(served, body)
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, headers=keys.headers(endpoint)) as http:
        answer = await _post(http, f"{endpoint.base_url}/v1/chat/completions", body)
        ids = None
        if endpoint.engine_kind.tells_tokens == "apply-template":
            shown = {"messages": body["messages"], **({"tools": tools} if tools else {})}
            prompt = await _post(http, f"{endpoint.base_url}/apply-template", shown)
            found = await _post(
                http,
                f"{endpoint.base_url}/tokenize",
                {"content": prompt["prompt"], "add_special": True, "parse_special": True},
            )
            ids = tuple(found["tokens"])
    choice = answer["choices"][0]
    if endpoint.engine_kind.tells_tokens == "return_token_ids":
        ids = _ids(answer.get("prompt_token_ids"))
    entries: list[dict[str, Any]] = (choice.get("logprobs") or {}).get("content") or []
    has_ids = bool(entries) and all("id" in entry for entry in entries)
    return Transcript(
        prompt_ids=ids,
        prompt_tokens=(answer.get("usage") or {}).get("prompt_tokens"),
        text=choice["message"].get("content") or "",
        answer_ids=tuple(entry["id"] for entry in entries) if has_ids else _ids(choice.get("token_ids")),
        logprobs=tuple(entry["logprob"] for entry in entries) if entries else None,
        finish_reason=choice.get("finish_reason"),
        called=bool(choice["message"].get("tool_calls")),
    )


def _ids(told: object) -> tuple[int, ...] | None:
    return tuple(told) if isinstance(told, list) else None


async def _post(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Any:
    try:
        async with http.post(url, json=body) as reply:
            data = await reply.read()
            if reply.status != 200:
                raise UpstreamError(f"{url} answered {reply.status}: {data[:200].decode(errors='replace')}")
            return msgspec.json.decode(data)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        raise UpstreamError(f"{url}: {error or type(error).__name__}") from None
