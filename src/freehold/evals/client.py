"""One async client of model APIs: streams, retries, what was spent, and what has no bound before it is sent.

Covered: any API that speaks OpenAI's chat completions, streaming or not. Not covered: other APIs spoken
directly; the gateway translates them.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from contextvars import ContextVar
from decimal import Decimal
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import msgspec

from freehold.deferring.signals import AnswerSignals
from freehold.errors import UpstreamError, UsageError
from freehold.evals.scorer import ChatAnswer
from freehold.late import aiohttp, yarl
from freehold.signing.signer import OwnCredentials
from freehold.types.endpoint import Endpoint
from freehold.wire import openai, sse
from freehold.wire.base_url import joined
from freehold.wire.errors import UNREADABLE
from freehold.wire.openai import AssembledAnswer

LIMITS = ("max_completion_tokens", "max_tokens")
"""Fields that limit the tokens of an answer. Which of two counts differs between APIs."""
_CALLED_HERE = ("function", "custom")
"""Kinds of tools whose calls are made by who asks. All others are run by the API that is asked."""


def unbounded(body: dict[str, Any]) -> str | None:
    """Why the most that a request can cost is not known, said of the request; None where it is."""
    if answer_tokens(body) is None:
        return "says no limit of tokens"
    if found := hosted_tools(body):
        return f"has the API itself run {', '.join(found)}"
    if "audio" in body or body.get("modalities") not in (None, [], ["text"]):
        return "asks for sound or pictures"
    if any(is_more_than_text(message) for message in body["messages"]):
        return "holds more than text"
    return None


def answer_tokens(body: dict[str, Any]) -> int | None:
    """The most tokens of an answer; None where no limit is said, or one that is none."""
    said = [body[name] for name in LIMITS if body.get(name) is not None]
    return int(max(said)) if said and all(is_count(one) for one in said) else None


def limited(body: dict[str, Any], tokens: int) -> dict[str, Any]:
    """The request with a limit of that many tokens, where it says none at all."""
    return body if any(body.get(name) is not None for name in LIMITS) else {**body, "max_tokens": tokens}


def is_count(value: Any) -> bool:
    """Whether it is a whole number of 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def hosted_tools(body: dict[str, Any]) -> list[str]:
    """What the API would run by itself, and may bill apart."""
    tools = body.get("tools") or []
    kinds = [_kind(one) for one in tools] if isinstance(tools, list) else ["?"]
    named = sorted({str(kind)[:40] for kind in kinds if kind not in _CALLED_HERE})
    return [*named, *(["web_search_options"] if "web_search_options" in body else [])]


def is_more_than_text(message: Any) -> bool:
    """Whether a message has a part that is not text: a picture by its address has more tokens than bytes."""
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(_kind(part) not in ("text", "refusal") for part in content)


def _kind(one: Any) -> Any:
    return one.get("type") if isinstance(one, dict) else None


class HeldSpending(NamedTuple):
    """What a request that is under way may cost at most, in dollars; `model` is the name it asks for."""

    model: str
    base_url: str
    most_usd: Decimal


class SpendingCap(Protocol):
    """Holds requests to rented models within a limit."""

    async def hold(self, endpoint: Endpoint, body: dict[str, Any]) -> HeldSpending | None:
        """Reserve the most that the request can cost; None where the endpoint costs nothing. Raises `UsageError` where
        the limit does not cover it, or its price is not known."""

    def settle(self, held: HeldSpending, answer: ChatAnswer | None) -> None:
        """Give back what it did not cost. None: how it ended is not known, so it counts at its most."""


spending_cap: ContextVar[SpendingCap | None] = ContextVar("spending_cap", default=None)
"""Of the work in this context. A client keeps the one it was made under."""


class Garbled(ValueError):
    """The response is not in the API's format."""


class ChatText:
    """A streamed answer from bytes as they arrive."""

    def __init__(self) -> None:
        self.started = False
        """Whether the first token has arrived."""
        self._events = sse.JsonEvents()
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take bytes of a ``text/event-stream``. Raises `Garbled`."""
        self._pieces.append(data)
        try:
            self.started = any(map(_says, self._events.feed(data))) or self.started
        except UNREADABLE as error:
            raise Garbled(str(error)) from None

    def answer(self) -> AssembledAnswer:
        """What has arrived so far, put together."""
        return openai.read_stream(b"".join(self._pieces))


def _says(chunk: dict[str, Any]) -> bool:
    delta = (chunk.get("choices") or [{}])[0].get("delta") or {}
    return bool(openai.said_in(delta) or delta.get("tool_calls"))


def output_of(body: dict[str, Any]) -> str:
    """The answer of a completion as text; tool calls as compact JSON in the API's own shape. Raises `Garbled`."""
    try:
        message = (body.get("choices") or [{}])[0].get("message") or {}
        calls = [
            {
                "id": call.get("id") or "",
                "type": "function",
                "function": {name: call["function"].get(name) or "" for name in ("name", "arguments")},
            }
            for call in message.get("tool_calls") or ()
        ]
        text = msgspec.json.encode(calls).decode() if calls else openai.said_in(message)
        return msgspec.convert(text, str)
    except UNREADABLE as error:
        raise Garbled(str(error)) from None


_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_HOPELESS = frozenset({401, 402, 403, 404, 405, 407})


class Patience(NamedTuple):
    """How long to try. Waits double from `first_wait_seconds` to `longest_wait_seconds`, with jitter.

    A server's own ``Retry-After`` takes precedence, up to `longest_asked_seconds`.
    """

    attempts: int = 4
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 20.0
    longest_asked_seconds: float = 120.0
    request_seconds: float = 300.0
    connect_seconds: float = 10.0


class _Again(Exception):
    def __init__(self, error: str, wait_seconds: float | None = None, *, everyone: bool = False) -> None:
        super().__init__(error)
        self.wait_seconds = wait_seconds
        self.everyone = everyone


class ChatClient:
    """Asks one endpoint; an async context manager. Safe for any number of tasks of one loop at once."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        patience: Patience | None = None,
        stream: bool | None = None,
    ) -> None:
        if endpoint.api != "openai":
            raise UsageError(
                f"endpoint {endpoint.name} speaks the {endpoint.api} API, which freehold does not speak to directly",
                hint="put the gateway in front of it: freehold up",
            )
        self.endpoint = endpoint
        self._url = joined(endpoint.base_url, "/v1/chat/completions")
        # Where it is signed it is sent as it is: with nothing in it quoted in another way.
        self._address = self._url if endpoint.credentials is None else yarl.URL(self._url, encoded=True)
        self._concurrency = concurrency
        self._patience = patience or Patience()
        self._session: aiohttp.ClientSession | None = None
        self._paused_until = 0.0
        self._stream = endpoint.capabilities.streaming if stream is None else stream
        self._renamed: dict[str, str | None] = {}
        self._cap = spending_cap.get()

    async def __aenter__(self) -> ChatClient:
        self._own = OwnCredentials(self.endpoint)
        await self._own.headers("POST", self._url)  # before the first request: all would fail alike
        self._session = aiohttp.ClientSession(
            headers={"content-type": "application/json"},
            connector=aiohttp.TCPConnector(limit=self._concurrency),
            timeout=aiohttp.ClientTimeout(
                total=self._patience.request_seconds, sock_connect=self._patience.connect_seconds
            ),
            read_bufsize=2**20,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, body: dict[str, Any]) -> ChatAnswer:
        """The answer to a chat request, after at most `Patience.attempts` tries.

        Raises `UpstreamError` for what would fail every other request too: a wrong key, a model or an address
        that does not exist; `UsageError` where a `spending_cap` does not cover it.
        """
        patience = self._patience
        attempt = 0
        while True:
            attempt += 1
            await self._wait_for_pause()
            try:
                answer = await self._within_cap(body)
            except _Again as again:
                if attempt >= patience.attempts:
                    return ChatAnswer(fault="infrastructure", error=str(again), attempts=attempt)
                await self._back_off(again, attempt)
            else:
                return answer if attempt == 1 else msgspec.structs.replace(answer, attempts=attempt)

    async def _wait_for_pause(self) -> None:
        while (left := self._paused_until - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _back_off(self, again: _Again, attempt: int) -> None:
        patience = self._patience
        if again.wait_seconds is not None:
            wait = min(again.wait_seconds, patience.longest_asked_seconds)
        else:
            wait = min(patience.first_wait_seconds * 2 ** (attempt - 1), patience.longest_wait_seconds)
            wait *= random.uniform(0.5, 1.0)  # so that requests that failed together don't return together
        if again.everyone:
            self._paused_until = max(self._paused_until, time.monotonic() + wait)
        else:
            await asyncio.sleep(wait)

    async def _within_cap(self, body: dict[str, Any]) -> ChatAnswer:
        """One try, which may be billed whatever becomes of it."""
        held = None if self._cap is None else await self._cap.hold(self.endpoint, body)
        if self._cap is None or held is None:
            return await self._once(body)
        answer: ChatAnswer | None = None
        try:
            answer = await self._once(body)
            return answer
        except _Again as again:
            answer = ChatAnswer(fault="infrastructure", error=str(again))
            raise
        except UpstreamError as error:
            answer = ChatAnswer(fault="infrastructure", error=f"refused_request: {error.message}")
            raise
        finally:
            self._cap.settle(held, answer)

    async def _once(self, body: dict[str, Any]) -> ChatAnswer:
        assert self._session is not None
        if self._stream:
            body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        for name, other in self._renamed.items():
            if name in body:
                value = body[name]
                body = {key: kept for key, kept in body.items() if key != name}
                if other is not None:
                    body[other] = value
        began = time.perf_counter()
        ttft: float | None = None
        try:
            data = msgspec.json.encode(body)
            headers = await self._own.headers("POST", self._url, data)
            async with self._session.post(self._address, data=data, headers=headers) as response:
                if response.status != 200:
                    self._own.learn(response.status)
                    return self._refused(response, await response.read(), began, body)
                if response.content_type == "text/event-stream":
                    text = ChatText()
                    async for piece in response.content.iter_any():
                        text.feed(piece)
                        if text.started:
                            ttft = _since(began)
                            break
                    # the first token is timed; the rest is read in one go, which leaves the engine more of the machine
                    text.feed(await response.content.read())
                    answer = text.answer()
                else:
                    answer = openai.read_answer(await response.read())
                    if answer.body is None:
                        raise Garbled("not JSON")
            return _finished(answer, ttft, _since(began))
        except aiohttp.ConnectionTimeoutError as error:
            raise _Again(f"unreachable: {error}") from None
        except TimeoutError:
            return ChatAnswer(
                fault="candidate",
                error=f"timeout: no full answer within {self._patience.request_seconds:g} s",
                total_ms=_since(began),
            )
        except Garbled as error:
            raise _Again(f"garbled: {error}") from None
        except aiohttp.ClientConnectorError as error:
            raise _Again(f"unreachable: {error}") from None
        except aiohttp.ClientError as error:
            raise _Again(f"connection_lost: {error or type(error).__name__}") from None

    def _refused(
        self, response: aiohttp.ClientResponse, data: bytes, began: float, body: dict[str, Any]
    ) -> ChatAnswer:
        status, said = response.status, _error_text(data)
        # Some models refuse log-probabilities with 403, as if the key were wrong.
        if status in {400, 403} and self._learns_logprobs(said, body):
            raise _Again(f"http_{status}: {said}", 0.0)
        if status in _HOPELESS:
            raise UpstreamError(
                f"{self._url} answered {status}: {said}",
                hint="check the address, the model's name and the key",
            )
        if status in _RETRIED or status >= 500:
            raise _Again(f"http_{status}: {said}", _retry_after(response), everyone=status in {429, 503, 529})
        if status == 400 and self._learns(said, body):
            raise _Again(f"http_400: {said}", 0.0)
        code = "context_overflow" if "context" in said.lower() else "refused_request"
        return ChatAnswer(fault="candidate", error=f"{code}: {status} {said}", total_ms=_since(began))

    def _learns(self, said: str, body: dict[str, Any]) -> bool:
        """Adapt to an API that renames or lacks a parameter; True when the request is worth another try."""
        for name, other in (("stream_options", None), ("max_tokens", "max_completion_tokens")):
            if (
                name in body
                and name in said
                and name not in self._renamed
                and (other is None or other in said)
            ):
                self._renamed[name] = other
                return True
        return False

    def _learns_logprobs(self, said: str, body: dict[str, Any]) -> bool:
        """Ask for no log-probabilities: True when that may help."""
        if "logprobs" not in body or "logprobs" not in said:
            return False
        self._renamed |= {"logprobs": None, "top_logprobs": None}
        return True


def _finished(answer: AssembledAnswer, ttft_ms: float | None, total_ms: float) -> ChatAnswer:
    """Raises `Garbled`, and `_Again` for what tells an error or is cut off."""
    body = answer.body or {}
    if failed := body.get("error"):
        said = failed.get("message") if isinstance(failed, dict) else None
        raise _Again(f"upstream_error: {said or failed}")
    if not answer.ended:
        raise _Again("connection_lost: the stream ended before the answer did")
    if not body.get("choices"):
        raise Garbled("a completion without a choice")
    signals = AnswerSignals()
    signals.take(body)
    fault, error = None, None
    if answer.finish_reason == "length":
        fault, error = "candidate", "cut: the answer reached the token limit"
    elif answer.finish_reason == "content_filter":
        fault, error = "candidate", "refused: the endpoint's content filter stopped the answer"
    return ChatAnswer(
        output=output_of(body),
        finish_reason=answer.finish_reason,
        ttft_ms=ttft_ms,
        total_ms=total_ms,
        usage=answer.usage,
        fault="candidate" if fault else None,
        error=error,
        signals=signals.signals() or None,
    )


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)


def _error_text(data: bytes) -> str:
    try:
        body = msgspec.json.decode(data)
    except msgspec.DecodeError:
        body = data.decode("utf-8", "replace")
    if isinstance(body, dict):
        inner = body.get("error", body.get("detail", body.get("message", body)))
        body = inner.get("message", inner) if isinstance(inner, dict) else inner
    return " ".join(str(body).split())[:300]


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds a server asks to wait: a number, or an HTTP date (RFC 9110, section 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            return None
