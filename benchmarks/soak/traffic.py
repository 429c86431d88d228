"""Mixed traffic at a steady rate: plain answers, streams, clients that leave, wrong keys, long questions."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter

import aiohttp

MODEL = "gpt-4o"
KINDS = {
    "plain": 50,
    "long": 4,
    "stream": 25,
    "leaves within": 10,
    "leaves before": 5,
    "wrong key": 6,
}
"""Kinds of requests, by weight."""
_IN_FLIGHT_MOST = 300
_LEAVE_AFTER_S = 0.1


class Traffic:
    """Sends `per_second` requests to `port` until it is stopped; `key` may be changed meanwhile."""

    def __init__(self, port: int, key: str, *, per_second: float, seed: int) -> None:
        self.key = key
        self.kinds: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.left_before = self.left_within = self.behind = 0
        self._port = port
        self._per_second = per_second
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        """Ask for so long, then wait for the last answers."""
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as self._session:
            next_s = time.monotonic()
            end_s = next_s + seconds
            while next_s < end_s:
                await asyncio.sleep(max(0.0, next_s - time.monotonic()))
                next_s += self._random.expovariate(self._per_second)
                if len(self._tasks) >= _IN_FLIGHT_MOST:
                    self.behind += 1
                    continue
                kind = self._random.choices(list(KINDS), list(KINDS.values()))[0]
                self.kinds[kind] += 1
                task = asyncio.create_task(self._ask(kind))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.gather(*self._tasks)

    async def _ask(self, kind: str) -> None:
        try:
            if kind == "leaves before":
                await self._leave(self._body("slow-2000", stream=False))
                self.left_before += 1
            elif kind == "leaves within":
                await self._leave(self._body("stream-20", stream=True), read=True)
                self.left_within += 1
            else:
                await self._whole(kind)
        except (OSError, aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.failed[f"{kind}: {type(error).__name__}"] += 1

    def _body(self, model: str, *, stream: bool, size: int = 400) -> bytes:
        text = self._random.randbytes(size // 2).hex()
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
        return json.dumps(body).encode()

    async def _whole(self, kind: str) -> None:
        streamed = kind == "stream"
        body = self._body(
            "stream-1" if streamed else MODEL, stream=streamed, size=600_000 if kind == "long" else 400
        )
        key = "sk-wrong" if kind == "wrong key" else self.key
        url = f"http://127.0.0.1:{self._port}/v1/chat/completions"
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        async with self._session.post(url, data=body, headers=headers) as answer:
            data = await answer.read()
            if answer.status != 200:
                # A wrong key is refused, nothing else is.
                seen = self.refused if kind == "wrong key" and answer.status == 401 else self.failed
                seen[str(answer.status)] += 1
            elif streamed and not data.endswith(b"data: [DONE]\n\n"):
                self.failed["stream without its end"] += 1
            else:
                self.answered.add(answer.headers["x-freehold-trace-id"])

    async def _leave(self, body: bytes, *, read: bool = False) -> None:
        """Send a request whole, and hang up before or within the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self.key}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
            if read:
                status = await reader.readuntil(b"\r\n")
                if b" 200 " not in status:
                    raise ConnectionError(status.decode(errors="replace"))
                await reader.readuntil(b"token0")
            else:
                await asyncio.sleep(_LEAVE_AFTER_S)
        finally:
            writer.close()
