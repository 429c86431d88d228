"""What an answer from a route's cache costs, beside asking the echo engine, in processor time.

    python benchmarks/gateway/repeats.py [--turns N] [--requests N]

One gateway with one worker and capture on, before a real echo engine; one client asks on one connection. The same
request goes to three routes by turns: without a cache, with one that has the answer, and with one that never has it
(each body is another). Read are the kernel's counts of the worker and of the engine, so other work disturbs little.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from freehold.engines.engine import start
from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import started
from freehold.processes import claim_port
from freehold.types.endpoint import ServePlan
from freehold.types.route import CacheTerms, Route, Target

WAYS = ("asked", "hit", "miss")
PARTS = ("worker", "engine", "client waits")
QUESTION = "Where is my parcel? " * 14


def spent_ms(process: psutil.Process) -> float:
    """Milliseconds of processor time so far."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def child(mark: str) -> psutil.Process:
    """The process below this one whose command holds `mark`."""
    children = psutil.Process().children(recursive=True)
    return next(one for one in children if mark in " ".join(one.cmdline()))


def turn(client: http.client.HTTPConnection, way: str, count: int, serial: itertools.count) -> None:
    for _ in range(count):
        content = QUESTION + (str(next(serial)) if way == "miss" else "")
        body = {"model": way, "temperature": 0, "messages": [{"role": "user", "content": content}]}
        client.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        answer = client.getresponse()
        answer.read()
        if answer.status != 200 or (answer.headers["x-freehold-cache"] == "hit") != (way == "hit"):
            raise RuntimeError(f"{way}: {answer.status}, cache {answer.headers['x-freehold-cache']}")


def measure(port: int, turns: int, requests: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds a request, by way and part, one value a turn."""
    found = {way: {part: [] for part in PARTS} for way in WAYS}
    serial = itertools.count()
    client = http.client.HTTPConnection("127.0.0.1", port)
    worker, engine = child("freehold.gateway.worker"), child("freehold.engines.echo_server")
    body = {"model": "hit", "temperature": 0, "messages": [{"role": "user", "content": QUESTION}]}
    client.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    client.getresponse().read()
    for number in range(-1, turns):
        for way in WAYS if number % 2 else WAYS[::-1]:
            before, began = (spent_ms(worker), spent_ms(engine)), time.perf_counter()
            turn(client, way, requests, serial)
            waited = (time.perf_counter() - began) * 1000
            if number >= 0:  # the first warms up
                took = (spent_ms(worker) - before[0], spent_ms(engine) - before[1], waited)
                for part, ms in zip(PARTS, took, strict=True):
                    found[way][part].append(ms / requests)
    client.close()
    return found


async def run(turns: int, requests: int, folder: str) -> dict[str, dict[str, list[float]]]:
    plan = ServePlan(engine="echo", model="echo")
    async with start(plan, log_dir=Path(folder), name="local", key_env=None) as endpoint:
        target = Target(endpoint="local", model="echo")
        config = GatewayConfig(
            endpoints=(endpoint,),
            routes=tuple(
                Route(name=way, model=way, incumbent=target, cache=None if way == "asked" else CacheTerms())
                for way in WAYS
            ),
            port=claim_port(),
            store_url=f"sqlite:///{folder}/freehold.sqlite3",
            capture="raw",
        )
        with started(config, log=Path(folder) / "gateway.log"):
            return await asyncio.to_thread(measure, config.port, turns, requests)


def main() -> None:
    parser = argparse.ArgumentParser(description="See the file's first lines.")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(options.turns, options.requests, folder))
    print(f"| ms a request, median of {options.turns} turns | {' | '.join(PARTS)} |")
    print("|---|" + "---|" * len(PARTS))
    for way in WAYS:
        print(f"| {way} | {' | '.join(f'{statistics.median(found[way][part]):.3f}' for part in PARTS)} |")
    print(f"\nLoad {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
