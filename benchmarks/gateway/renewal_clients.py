"""One client library on kept connections to a gateway whose workers are renewed; it never tries again.

    python -m benchmarks.gateway.renewal_clients BASE_URL LIBRARY --tasks 6 --key fh-… [--ca FILE] [--stream-part 0.25]

Asks until its stdin is closed. Writes JSON lines: how many requests have been asked, once a second; at the end also
each request that was lost, with the library, what went wrong, and when (seconds of the machine's monotonic clock).
In a process of its own, as the clients of a gateway are. An answer counts when it is whole: status 200, and its
object or the end of its stream was read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

MODEL = "brief-2"
QUESTION: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Where is my parcel?"}]}
# Between two requests of one task: none, as under load, and such that connections lie idle while workers change.
PAUSES_S = (0.0, 0.0, 0.002, 0.01, 0.05, 0.3, 0.3)
_LONG_PAUSE_S, _LONG_PAUSE_PART = 5.0, 0.01
_TIMEOUT_S = 60.0
_IDLE_S = 60.0  # less than the gateway's own 75 s, which end an idle connection with or without a renewal
_END = b"data: [DONE]\n\n"

Ask = Callable[[bool], Awaitable[None]]
AskNow = Callable[[bool], None]


class NotWholeError(Exception):
    """An answer came that is not a whole good one."""


class Tally:
    """What a process asked, and what it lost."""

    def __init__(self, library: str, seed: int, stream_part: float) -> None:
        self.library = library
        self.asked = self.streams = 0
        self.lost: list[dict[str, Any]] = []
        self.stopping = False
        self._draws = random.Random(seed)
        self._stream_part = stream_part

    def draw(self) -> tuple[bool, float]:
        """Whether the next request is for a stream, and the seconds to wait after it."""
        stream = self._draws.random() < self._stream_part
        pause_s = self._draws.choice(PAUSES_S) * self._draws.random()
        if self._draws.random() < _LONG_PAUSE_PART:
            pause_s = _LONG_PAUSE_S * self._draws.random()
        self.asked += 1
        self.streams += stream
        return stream, pause_s

    def lose(self, stream: bool, error: Exception) -> None:
        reason = error.__cause__ or error.__context__
        said = f"{type(error).__name__}: {error}" + (
            f" ({type(reason).__name__}: {reason})" if reason else ""
        )
        kind = "stream" if stream else "plain"
        self.lost.append(
            {"library": self.library, "kind": kind, "error": said[:300], "at_s": time.monotonic()}
        )

    def tell(self, *, ended: bool = False) -> None:
        told = {"library": self.library, "asked": self.asked, "streams": self.streams}
        sys.stdout.write(json.dumps({**told, "lost": self.lost, "ended": ended}) + "\n")
        sys.stdout.flush()


def _check(status: int, body: bytes, stream: bool) -> None:
    if status != 200:
        raise NotWholeError(f"status {status}: {body[:200]!r}")
    if not (body.endswith(_END) if stream else body.endswith(b"}")):
        raise NotWholeError(f"it ended with {body[-40:]!r}")


@asynccontextmanager
async def by_aiohttp(base_url: str, key: str, trusted: ssl.SSLContext | None) -> AsyncIterator[Ask]:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S, ssl=trusted or True)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:

        async def ask(stream: bool) -> None:
            url, body = f"{base_url}/v1/chat/completions", {**QUESTION, "stream": stream}
            async with session.post(url, json=body) as answer:
                _check(answer.status, await answer.read(), stream)

        yield ask


@asynccontextmanager
async def by_httpx(base_url: str, key: str, trusted: ssl.SSLContext | None) -> AsyncIterator[Ask]:
    import httpx

    async with httpx.AsyncClient(
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_IDLE_S),
        timeout=_TIMEOUT_S,
        headers={"authorization": f"Bearer {key}"},
        verify=trusted or True,
    ) as client:

        async def ask(stream: bool) -> None:
            url, body = f"{base_url}/v1/chat/completions", {**QUESTION, "stream": stream}
            async with client.stream("POST", url, json=body) as answer:
                _check(answer.status_code, await answer.aread(), stream)

        yield ask


@asynccontextmanager
async def by_openai(base_url: str, key: str, trusted: ssl.SSLContext | None) -> AsyncIterator[Ask]:
    import openai

    http = openai.DefaultAsyncHttpxClient(verify=trusted or True)
    async with openai.AsyncOpenAI(
        base_url=f"{base_url}/v1", api_key=key, max_retries=0, http_client=http
    ) as client:

        async def ask(stream: bool) -> None:
            if not stream:
                if not (await client.chat.completions.create(**QUESTION)).choices:
                    raise NotWholeError("no choices")
                return
            chunks = [chunk async for chunk in await client.chat.completions.create(**QUESTION, stream=True)]
            if not chunks or chunks[-1].choices[0].finish_reason != "stop":
                raise NotWholeError("the stream has no end")

        yield ask


@asynccontextmanager
async def by_anthropic(base_url: str, key: str, trusted: ssl.SSLContext | None) -> AsyncIterator[Ask]:
    import anthropic

    http = anthropic.DefaultAsyncHttpxClient(verify=trusted or True)
    async with anthropic.AsyncAnthropic(
        base_url=base_url, api_key=key, max_retries=0, http_client=http
    ) as client:

        async def ask(stream: bool) -> None:
            if not stream:
                if not (await client.messages.create(**QUESTION, max_tokens=9)).content:
                    raise NotWholeError("no content")
                return
            async with client.messages.stream(**QUESTION, max_tokens=9) as answer:
                if not (await answer.get_final_message()).stop_reason:
                    raise NotWholeError("the stream has no end")

        yield ask


@contextmanager
def by_requests(base_url: str, key: str, ca: str | None) -> Iterator[AskNow]:
    """requests, and urllib3 under it: it holds no connection to be closed after some idle time."""
    import requests
    from requests.adapters import HTTPAdapter

    with requests.Session() as session:
        session.trust_env = False
        session.verify = ca or True
        session.mount(base_url, HTTPAdapter(max_retries=0))
        session.headers["authorization"] = f"Bearer {key}"

        def ask(stream: bool) -> None:
            answer = session.post(
                f"{base_url}/v1/chat/completions", json={**QUESTION, "stream": stream}, timeout=_TIMEOUT_S
            )
            _check(answer.status_code, answer.content, stream)

        yield ask


ASYNC: dict[str, Callable[[str, str, ssl.SSLContext | None], AbstractAsyncContextManager[Ask]]] = {
    "aiohttp": by_aiohttp,
    "httpx": by_httpx,
    "openai": by_openai,
    "anthropic": by_anthropic,
}
LIBRARIES = (*ASYNC, "requests")


async def _ask_on(given: argparse.Namespace, tally: Tally) -> None:
    trusted = ssl.create_default_context(cafile=given.ca) if given.ca else None

    async def keep_asking(ask: Ask) -> None:
        while not tally.stopping:
            stream, pause_s = tally.draw()
            try:
                await ask(stream)
            except Exception as error:  # noqa: BLE001 (each is counted, and named)
                tally.lose(stream, error)
            await asyncio.sleep(pause_s)

    async with ASYNC[given.library](given.base_url, given.key, trusted) as ask:
        await asyncio.gather(*(keep_asking(ask) for _ in range(given.tasks)))


def _ask_in_threads(given: argparse.Namespace, tally: Tally) -> None:
    lock = threading.Lock()

    def keep_asking() -> None:
        # A session for each, as its documentation advises for threads.
        with by_requests(given.base_url, given.key, given.ca) as ask:
            while not tally.stopping:
                with lock:
                    stream, pause_s = tally.draw()
                try:
                    ask(stream)
                except Exception as error:  # noqa: BLE001
                    with lock:
                        tally.lose(stream, error)
                time.sleep(pause_s)

    threads = [threading.Thread(target=keep_asking) for _ in range(given.tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _until_told(tally: Tally) -> None:
    """In threads beside the clients: tell how far it is, and stop when stdin closes."""

    def wait() -> None:
        while os.read(0, 4096):  # not through sys.stdin, whose lock would be held at the end
            pass
        tally.stopping = True

    def tell() -> None:
        while not tally.stopping:
            tally.tell()
            time.sleep(1)

    for job in (wait, tell):
        threading.Thread(target=job, daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base_url")
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("--tasks", type=int, default=6, help="that ask at once (default: 6)")
    parser.add_argument("--key", default="fh-none")
    parser.add_argument("--ca", help="PEM file of the authority that made the gateway's certificate")
    parser.add_argument("--stream-part", type=float, default=0.25, help="of the requests (default: 0.25)")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    tally = Tally(given.library, given.seed, given.stream_part)
    _until_told(tally)
    if given.library in ASYNC:
        asyncio.run(_ask_on(given, tally))
    else:
        _ask_in_threads(given, tally)
    tally.tell(ended=True)


if __name__ == "__main__":
    main()
