"""Traffic to measure an endpoint with: requests taken from traces or a file, or made up to a size, and N streams that
each ask again as soon as they have their answer.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from freehold.engines import keys
from freehold.errors import UpstreamError, UsageError
from freehold.late import aiohttp
from freehold.preparing.request import asked
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.serving import LoadLevel, Quantiles

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

KEPT = ("messages", "tools", "tool_choice", "response_format", "stop", "max_tokens", "max_completion_tokens")


class RequestBodies(NamedTuple):
    """Request bodies without model and stream, asked in turn and over again; `about` is for the report."""

    bodies: Sequence[dict[str, Any]]
    about: str

    def endless(self) -> Iterator[dict[str, Any]]:
        while True:
            yield from self.bodies


def synthetic(
    *,
    prompt_tokens: int,
    completion_tokens: int,
    shared_prefix_tokens: int = 0,
    count: int = 256,
    seed: int = 0,
) -> RequestBodies:
    """Prompts of about `prompt_tokens` words, all different after the first `shared_prefix_tokens`.

    Answers are asked to be `completion_tokens` long at most; engines that know ``ignore_eos`` make them so.
    """
    if prompt_tokens < 1 or completion_tokens < 1 or not 0 <= shared_prefix_tokens < prompt_tokens:
        raise UsageError(
            f"prompts of {prompt_tokens} tokens with {shared_prefix_tokens} shared and answers of "
            f"{completion_tokens} make no workload",
        )
    chance = random.Random(seed)
    prefix = [chance.choice(_WORDS) for _ in range(shared_prefix_tokens)]
    bodies = []
    for _ in range(count):
        rest = [chance.choice(_WORDS) for _ in range(prompt_tokens - shared_prefix_tokens)]
        text = " ".join([*prefix, *rest])
        bodies.append(
            {
                "messages": [{"role": "user", "content": text}],
                "max_tokens": completion_tokens,
                "temperature": 0,
                "ignore_eos": True,
            }
        )
    shared = f", the first {shared_prefix_tokens} shared" if shared_prefix_tokens else ""
    return RequestBodies(
        bodies, f"made-up prompts of {prompt_tokens} words{shared}, {completion_tokens} tokens back"
    )


def from_bodies(requests: Sequence[dict[str, Any]], *, about: str, completion_tokens: int) -> RequestBodies:
    """Recorded requests, asked as they were; `completion_tokens` bounds answers that had no bound.

    Raises `UsageError` when there is none with messages.
    """
    bodies = []
    for request in requests:
        body = {key: request[key] for key in KEPT if request.get(key) is not None}
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            continue
        if "max_tokens" not in body and "max_completion_tokens" not in body:
            body["max_tokens"] = completion_tokens
        bodies.append({"temperature": 0, **body})
    if not bodies:
        raise UsageError(f"no request with messages in {about}", hint="freehold import brings traffic in")
    return RequestBodies(bodies, about)


WARM_UP_REQUESTS = 2
KNEE_SHARE = 0.9
ROUND_SECONDS = 300.0


class _Measured:
    """What one level gathers."""

    def __init__(self) -> None:
        self.ttft_ms: list[float] = []
        self.gaps_ms: list[float] = []
        self.total_ms: list[float] = []
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.pieces = 0
        self.errors: dict[str, int] = {}
        self.said: str | None = None

    def fail(self, kind: str, said: str | None = None) -> None:
        """Count a failure; `said` is the endpoint's own word on it."""
        self.errors[kind] = self.errors.get(kind, 0) + 1
        self.said = said or self.said

    @property
    def problem(self) -> str:
        """What went wrong, in the endpoint's own words where it has some."""
        kinds = ", ".join(sorted(self.errors))
        return f"{kinds}: {self.said}" if self.said else kinds


class StreamRates(NamedTuple):
    """Tokens a second of one request: its prompt, until the first token came, and its answer from there."""

    prompt: float
    completion: float


async def rates(endpoint: Endpoint, model: str, workload: RequestBodies, *, rounds: int) -> list[StreamRates]:
    """The rates of `rounds` requests, one after another, after one that pays for what is lazy. Prompts that share
    nothing find nothing in a cache. Raises `UpstreamError` where one is not answered, or its tokens are not counted."""
    served = endpoint.served(model) or ServedModel(name=model, upstream_name=model)
    bodies = workload.endless()
    found = []
    async with _session(endpoint, ROUND_SECONDS) as http:
        for _ in range(rounds + 1):
            one = _Measured()
            await _ask(http, endpoint, served, next(bodies), one)
            if one.errors:
                raise UpstreamError(f"{model} did not answer: {one.problem}")
            if not one.prompt_tokens:
                raise UpstreamError(
                    f"{model} answered without counting its tokens", hint="see the engine's log"
                )
            if len(one.gaps_ms) < 1 or one.completion_tokens < 2:
                raise UpstreamError(f"{model} wrote too little to time it", hint="ask for more tokens")
            first_s = one.ttft_ms[0] / 1000
            found.append(
                StreamRates(
                    one.prompt_tokens / first_s, (one.completion_tokens - 1) * 1000 / sum(one.gaps_ms)
                )
            )
    return found[1:]


async def refusal(
    endpoint: Endpoint, model: str, workload: RequestBodies, *, tries: int = 3, timeout_seconds: float = 120.0
) -> str | None:
    """Why not one of `tries` requests is answered, in the endpoint's own words where it has some; None when one is."""
    served = endpoint.served(model) or ServedModel(name=model, upstream_name=model)
    bodies = workload.endless()
    measured = _Measured()
    async with _session(endpoint, timeout_seconds) as http:
        for _ in range(tries):
            await _ask(http, endpoint, served, next(bodies), measured)
            if measured.total_ms:
                return None
    return measured.problem


async def drive(
    endpoint: Endpoint,
    model: str,
    workload: RequestBodies,
    streams: Sequence[int],
    *,
    seconds: float,
    timeout_seconds: float = 120.0,
    tell: Callable[[int, float], None] | None = None,
) -> list[LoadLevel]:
    """Hold each number of `streams` for `seconds` and measure. `tell` is called with the streams and the share done.

    A request under way when the time is up counts with what had arrived.
    """
    served = endpoint.served(model) or ServedModel(name=model, upstream_name=model)
    bodies = workload.endless()
    async with _session(endpoint, timeout_seconds) as http:
        for _ in range(WARM_UP_REQUESTS):
            await _ask(http, endpoint, served, next(bodies), _Measured())
        levels = []
        for number in streams:
            levels.append(await _level(http, endpoint, served, bodies, number, seconds, tell))
        return levels


def _session(endpoint: Endpoint, timeout_seconds: float) -> aiohttp.ClientSession:
    headers = {"Content-Type": "application/json", **keys.headers(endpoint)}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
    )


def knee(levels: Sequence[LoadLevel]) -> int | None:
    """The fewest streams that give `KNEE_SHARE` of the best completion tokens/s; None when nothing came."""
    best = max((level.completion_tokens_per_second for level in levels), default=0.0)
    if best <= 0:
        return None
    return min(level.streams for level in levels if level.completion_tokens_per_second >= KNEE_SHARE * best)


async def _level(
    http: aiohttp.ClientSession,
    endpoint: Endpoint,
    served: ServedModel,
    bodies: Iterator[dict[str, Any]],
    streams: int,
    seconds: float,
    tell: Callable[[int, float], None] | None,
) -> LoadLevel:
    measured = _Measured()
    began = time.perf_counter()

    async def stream() -> None:
        while True:
            await _ask(http, endpoint, served, next(bodies), measured)

    tasks = [asyncio.create_task(stream()) for _ in range(streams)]
    try:
        while (passed := time.perf_counter() - began) < seconds:
            if tell is not None:
                tell(streams, passed / seconds)
            done, _ = await asyncio.wait(
                tasks, timeout=min(0.5, seconds - passed), return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()  # a stream never returns: this raises what broke it
    finally:
        took = time.perf_counter() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return LoadLevel(
        streams=streams,
        seconds=took,
        requests=len(measured.total_ms),
        errors=measured.errors,
        requests_per_second=len(measured.total_ms) / took,
        prompt_tokens_per_second=measured.prompt_tokens / took,
        completion_tokens_per_second=(measured.completion_tokens or measured.pieces) / took,
        ttft_ms=quantiles(measured.ttft_ms),
        inter_token_ms=quantiles(measured.gaps_ms),
        total_ms=quantiles(measured.total_ms),
    )


async def _ask(
    http: aiohttp.ClientSession,
    endpoint: Endpoint,
    served: ServedModel,
    body: dict[str, Any],
    measured: _Measured,
    *,
    again: bool = True,
) -> None:
    request = asked(served, {**body, "stream": True, "stream_options": {"include_usage": True}})
    began = last = time.perf_counter()
    first = True
    complete = False
    try:
        async with http.post(
            f"{endpoint.base_url}/v1/chat/completions", data=msgspec.json.encode(request)
        ) as reply:
            if reply.status != 200:
                measured.fail(f"status {reply.status}", _message(await reply.read()))
                await asyncio.sleep(0.05)  # an endpoint that refuses at once must not be hammered
                return
            async for line in reply.content:
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    complete = True
                    break
                event = msgspec.json.decode(data, type=dict[str, Any])
                if "error" in event:
                    measured.fail("error in the stream", _message(data))
                    return
                if _has_text(event):
                    now = time.perf_counter()
                    (measured.ttft_ms if first else measured.gaps_ms).append((now - last) * 1000)
                    first, last = False, now
                    measured.pieces += 1
                if usage := event.get("usage"):
                    measured.prompt_tokens += usage.get("prompt_tokens") or 0
                    measured.completion_tokens += usage.get("completion_tokens") or 0
    except (aiohttp.ClientConnectionError, ConnectionError):
        if first and again:  # a kept connection the server had closed meanwhile; every client asks once more
            await _ask(http, endpoint, served, body, measured, again=False)
            return
        measured.fail("unreachable" if first else "cut off")
        await asyncio.sleep(0.05)
        return
    except (aiohttp.ClientError, msgspec.MsgspecError):
        complete = False
    except TimeoutError:
        measured.fail("timeout")
        return
    if complete:
        measured.total_ms.append((time.perf_counter() - began) * 1000)
    else:
        measured.fail("cut off")


def _message(body: bytes) -> str | None:
    """The sentence in an error's body, as OpenAI, Ollama and FastAPI put it."""
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    error = found.get("error", found.get("detail"))
    text = error.get("message") if isinstance(error, dict) else error
    return text[:300] if isinstance(text, str) else None


def _has_text(event: dict[str, Any]) -> bool:
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        if delta.get("content") or delta.get("tool_calls") or delta.get("reasoning_content"):
            return True
    return False


def quantiles(values: Sequence[float]) -> Quantiles:
    """Quantiles of measured values (inverse of the distribution, no interpolation)."""
    ordered = sorted(values)

    def at(share: float) -> float | None:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None

    return Quantiles(n=len(ordered), p50=at(0.5), p90=at(0.9), p95=at(0.95), p99=at(0.99))
