"""How much of an engine's throughput replay keeps: the same requests by a bare client and by `freehold.evals.replay`.

    python benchmarks/replay.py            # table
    python benchmarks/replay.py --json

The engine is a fake in a process of its own with a fixed number of slots, a time to the first token and a time per
token, so that what differs is the client alone. The bare client posts prepared bytes over the same number of
connections and reads the answers without looking at them. The row "no time at all" is no engine that exists: it
shows where the client itself becomes the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import aiohttp
from aiohttp import web

from freehold.evals.asking import chat_request
from freehold.evals.replay import ReplayOptions, replay
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import Task


class Case(NamedTuple):
    """An engine with `slots` requests at once."""

    name: str
    slots: int
    first_ms: float
    token_ms: float
    tokens: int
    requests: int


CASES = (
    Case("small model, 4 slots, 24 tokens", 4, 40, 8, 24, 80),
    Case("GPU engine, 32 slots, 32 tokens", 32, 30, 6, 32, 800),
    Case("label task, 16 slots, 4 tokens", 16, 25, 5, 4, 1200),
    Case("no time at all, 16 slots, 4 tokens", 16, 0, 0, 4, 2000),
)
TASK = Task(name="bench", scorer="exact", max_tokens=64)
TARGET = 0.95


def engine(pipe: Connection, case: Case) -> None:
    """Serve the fake engine on a free port, told through `pipe`, until the process is ended."""

    async def main() -> None:
        slots = asyncio.Semaphore(case.slots)
        token = b'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
        last = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

        async def handle(request: web.Request) -> web.StreamResponse:
            await request.read()
            async with slots:
                response = web.StreamResponse(headers={"content-type": "text/event-stream"})
                await asyncio.sleep(case.first_ms / 1000)
                await response.prepare(request)
                for _ in range(case.tokens):
                    await response.write(token)
                    if case.token_ms:
                        await asyncio.sleep(case.token_ms / 1000)
                await response.write(last)
                return response

        app = web.Application()
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


async def bare(url: str, bodies: list[bytes], concurrency: int) -> float:
    """Seconds for all requests by a client that only sends and reads."""
    todo = iter(bodies)

    async def worker(session: aiohttp.ClientSession) -> None:
        for body in todo:
            async with session.post(url, data=body, headers={"content-type": "application/json"}) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))
        return time.perf_counter() - began


async def ours(base: str, samples: list[Sample], concurrency: int, cache: Path) -> float:
    """Seconds for the same by replay, with answers kept on disk and scored."""
    endpoint = Endpoint(name="bench", engine="remote", base_url=base)
    began = time.perf_counter()
    results = await replay(endpoint, "m", samples, TASK, options=ReplayOptions(concurrency, cache))
    seconds = time.perf_counter() - began
    assert all(one.score.value is not None for one in results)
    return seconds


def measure(case: Case, rounds: int) -> dict[str, float | str]:
    """Requests per second of both, alternating, medians over `rounds`."""
    samples = [
        Sample(
            id=f"s{i}", messages=(Message(role="user", content=f"question {i} " + "word " * 60),), gold="x"
        )
        for i in range(case.requests)
    ]
    served = ServedModel(name="m", upstream_name="m")
    bodies = [
        json.dumps({**chat_request(sample, served, TASK), "stream": True}).encode() for sample in samples
    ]
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=engine, args=(there, case), daemon=True)
    process.start()
    base = f"http://127.0.0.1:{here.recv()}"
    raw, replayed = [], []
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(bare(f"{base}/v1/chat/completions", bodies[: case.slots], case.slots))  # warm up
            for number in range(rounds):
                raw.append(
                    case.requests / asyncio.run(bare(f"{base}/v1/chat/completions", bodies, case.slots))
                )
                cache = Path(folder) / f"{number}.jsonl"
                replayed.append(case.requests / asyncio.run(ours(base, samples, case.slots, cache)))
    finally:
        process.terminate()
        process.join()
    share = statistics.median(replayed) / statistics.median(raw)
    return {
        "case": case.name,
        "bare_per_second": round(statistics.median(raw), 1),
        "replay_per_second": round(statistics.median(replayed), 1),
        "share": round(share, 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = [measure(case, options.rounds) for case in CASES]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print("| engine | bare client, requests/s | replay, requests/s | share |\n|---|---|---|---|")
        for row in rows:
            print(
                f"| {row['case']} | {row['bare_per_second']} | {row['replay_per_second']} | {row['share']:.1%} |"
            )
    return 0 if all(float(row["share"]) >= TARGET for row in rows[:-1]) else 1


if __name__ == "__main__":
    sys.exit(main())
