"""Made-up requests, and the time that an endpoint takes to answer each."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from freehold.engines import keys
from freehold.errors import UpstreamError
from freehold.late import aiohttp
from freehold.preparing.request import asked
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.wire import sse
from freehold.wire.errors import UNREADABLE, told_error
from freehold.wire.openai import stopped_with

# Short, common words: about one token each in every tokenizer.
_WORDS = tuple(
    word
    for line in (
        "order track send late blue red box shop pay card day week time help need want find lost new old open",
        "close call mail name street house door light green cost free fast slow good bad long short city town",
        "road bank book page line word list item size weight color price stock store cart gift code date hour",
    )
    for word in line.split()
)
REQUEST_SECONDS = 300.0


def made_up(count: int, *, prompt_tokens: int, completion_tokens: int) -> list[dict[str, Any]]:
    """`count` requests, always the same: prompts of `prompt_tokens` words that share nothing, so that a cache has
    nothing of them.

    Answers are asked to be `completion_tokens` long at most; engines that know ``ignore_eos`` make them so.
    """
    chance = random.Random(0)
    return [
        {
            "messages": [{"role": "user", "content": " ".join(chance.choices(_WORDS, k=prompt_tokens))}],
            "max_tokens": completion_tokens,
            "temperature": 0,
            "ignore_eos": True,
        }
        for _ in range(count)
    ]


class TimedAnswer(NamedTuple):
    """What an answer took: until its first piece, and from there to its last."""

    prompt_tokens: int
    completion_tokens: int
    first_s: float
    written_s: float


class StreamRates(NamedTuple):
    """Tokens a second of one request: its prompt, until the first token came, and its answer from there."""

    prompt: float
    completion: float


async def rates(endpoint: Endpoint, model: str, bodies: Iterable[dict[str, Any]]) -> list[StreamRates]:
    """The rates of requests, one after another, all but the first: that one pays for what is lazy. Raises
    `UpstreamError` where one is not answered, its tokens are not counted, or they are too few."""
    found = []
    async with session(endpoint) as http:
        for body in bodies:
            one = await timed(http, endpoint, model, body)
            if one.completion_tokens < 2 or not one.written_s:
                raise UpstreamError(f"{model} wrote too little to time it", hint="ask for more tokens")
            found.append(
                StreamRates(one.prompt_tokens / one.first_s, (one.completion_tokens - 1) / one.written_s)
            )
    return found[1:]


def session(endpoint: Endpoint) -> aiohttp.ClientSession:
    """A client of an endpoint, with its key and without a bound on requests at once. Each has a connection of its own:
    llama.cpp's server closes one behind a stream, without a word."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        headers={"Content-Type": "application/json", **keys.headers(endpoint)},
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
    )


async def timed(
    http: aiohttp.ClientSession, endpoint: Endpoint, model: str, body: dict[str, Any]
) -> TimedAnswer:
    """Ask for one answer as a stream. Raises `UpstreamError` where it is not whole, or its tokens are not counted."""
    served = endpoint.served(model) or ServedModel(name=model, upstream_name=model)
    request = asked(served, {**body, "stream": True, "stream_options": {"include_usage": True}})
    events = sse.JsonEvents()
    usage: dict[str, Any] = {}
    first = last = 0.0
    began = time.perf_counter()
    try:
        async with http.post(
            f"{endpoint.base_url}/v1/chat/completions", data=msgspec.json.encode(request)
        ) as reply:
            if reply.status != 200:
                said = told_error(reply.status, await reply.read()).message
                raise UpstreamError(f"{model} did not answer: status {reply.status}: {said}")
            async for piece in reply.content.iter_any():
                for event in events.feed(piece):
                    if event.get("error"):
                        raise UpstreamError(f"{model} did not answer: {stopped_with(event).message}")
                    if _has_text(event):
                        last = time.perf_counter() - began
                        first = first or last
                    usage = event.get("usage") or usage
    except (aiohttp.ClientError, OSError, *UNREADABLE) as error:
        raise UpstreamError(f"{model} did not answer: {error or type(error).__name__}") from None
    if not events.done:
        raise UpstreamError(f"{model} did not answer: its stream was cut off")
    if not usage.get("prompt_tokens") or not first:
        raise UpstreamError(f"{model} answered without counting its tokens", hint="see the engine's log")
    return TimedAnswer(usage["prompt_tokens"], usage.get("completion_tokens") or 0, first, last - first)


def _has_text(event: dict[str, Any]) -> bool:
    deltas = (choice.get("delta") or {} for choice in event.get("choices") or ())
    return any(
        delta.get("content") or delta.get("tool_calls") or delta.get("reasoning_content") for delta in deltas
    )
