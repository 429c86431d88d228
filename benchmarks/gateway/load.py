"""A small load generator: requests at a fixed pace, many streams at once, clients that hang up."""

from __future__ import annotations

import asyncio
import time

HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer fh-benchmark\r\n"
    "content-type: application/json\r\ncontent-length: {}\r\n\r\n"
)
QUESTION = (
    '{{"model":"{}","messages":[{{"role":"system","content":"'
    + "You answer customers of a shop. " * 20
    + '"}},{{"role":"user","content":"'
    + "Where is my parcel? " * 14
    + '"}}],"temperature":0.2,"max_tokens":64{}}}'
)


def request(model: str = "gpt-4o", *, stream: bool = False) -> bytes:
    """A request of about 1 kB."""
    body = QUESTION.format(model, ',"stream":true' if stream else "").encode()
    return HEAD.format(len(body)).encode() + body


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode(errors="replace"))
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)


async def paced(
    port: int, per_second: int, seconds: float, model: str = "gpt-4o", connections: int = 64
) -> list[float]:
    """Latencies in ms of requests sent at a fixed pace, each measured from when it should have been sent."""
    data = request(model)
    latencies: list[float] = []
    start = time.perf_counter() + 0.2

    async def worker(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, int(per_second * seconds), connections):
            due = start + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due = max(due, time.perf_counter() - 0.001) if number < connections else due
            await _ask(reader, writer, data)
            latencies.append((time.perf_counter() - due) * 1000)
        writer.close()

    await asyncio.gather(*(worker(first) for first in range(connections)))
    return sorted(latencies)


async def streams(port: int, count: int, model: str) -> tuple[int, float]:
    """Open `count` streams at once; returns how many ended well and the seconds it took."""
    data = request(model, stream=True)
    started = time.perf_counter()

    async def one() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        whole = await reader.readuntil(b"data: [DONE]\n\n")
        writer.close()
        return whole.count(b"data: {") == 100

    ended = await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)
    return sum(outcome is True for outcome in ended), time.perf_counter() - started


async def delays(port: int, count: int, rounds: int) -> list[float]:
    """Ms from an event's writing by the upstream to its arrival, of `count` streams at once, `rounds` times."""
    data = request("stamped-5", stream=True)
    found: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(rounds):
            writer.write(data)
            while b"[DONE]" not in (line := await reader.readline()):
                if b'"sent_ns":' in line:
                    sent_ns = int(line.partition(b'"sent_ns":')[2].partition(b",")[0])
                    found.append((time.monotonic_ns() - sent_ns) / 1e6)
            await reader.readuntil(b"0\r\n\r\n")
        writer.close()

    await asyncio.gather(*(one() for _ in range(count)))
    return sorted(found)


async def hang_up(port: int, count: int, at_once: int = 50) -> None:
    """Start `count` streams and leave each after its first bytes."""
    data = request("stream-5", stream=True)
    gate = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            await reader.read(200)
            writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(count)))
