"""One endpoint asked over HTTP: retries with backoff, rate limits honoured, faults told apart.

Covered: any API that speaks OpenAI's chat completions, streaming or not. Not covered: other APIs spoken
directly; the gateway translates them.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
from yarl import URL

from freehold.errors import UpstreamError, UsageError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.chat_stream import ChatText, Garbled
from freehold.evals.chat.spending_cap import spending_cap
from freehold.late import aiohttp
from freehold.signing.own import OwnCredentials
from freehold.types.endpoint import Endpoint
from freehold.wire.base_url import joined

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
        self._address: str | URL = self._url if endpoint.credentials is None else URL(self._url, encoded=True)
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
        text = ChatText()
        ttft: float | None = None
        try:
            data = msgspec.json.encode(body)
            headers = await self._own.headers("POST", self._url, data)
            async with self._session.post(self._address, data=data, headers=headers) as response:
                if response.status != 200:
                    self._own.learn(response.status)
                    return self._refused(response, await response.read(), began, body)
                if response.content_type == "text/event-stream":
                    async for piece in response.content.iter_any():
                        text.feed(piece)
                        if text.started:
                            ttft = _since(began)
                            break
                    # the first token is timed; the rest is read in one go, which leaves the engine more of the machine
                    text.feed(await response.content.read())
                else:
                    text.feed_body(await response.read())
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
        if text.error is not None:
            raise _Again(f"upstream_error: {text.error}")
        if not text.done and text.finish_reason is None:
            raise _Again("connection_lost: the stream ended before the answer did")
        return _finished(text, ttft, _since(began))

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


def _finished(text: ChatText, ttft_ms: float | None, total_ms: float) -> ChatAnswer:
    fault, error = None, None
    if text.finish_reason == "length":
        fault, error = "candidate", "cut: the answer reached the token limit"
    elif text.finish_reason == "content_filter":
        fault, error = "candidate", "refused: the endpoint's content filter stopped the answer"
    return ChatAnswer(
        output=text.output or "",
        finish_reason=text.finish_reason,
        ttft_ms=ttft_ms,
        total_ms=total_ms,
        usage=text.usage,
        fault="candidate" if fault else None,
        error=error,
        signals=text.signals() or None,
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
