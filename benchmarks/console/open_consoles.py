"""Twenty open consoles: what they cost the console's process, and whether a request costs the gateway more beside them.

A gateway of the same store runs on core 0, load and everything else on core 1. An open console asks as the page does:
who looks, then its screen again and again, as long after each answer as the screen says. Turns with and without them
alternate; what else the machine does falls on both. Processor time of the gateway is read from the kernel's scheduler
in nanoseconds (`/proc/PID/task/*/schedstat`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil

from benchmarks.console.project import Served, console, cpu_s
from benchmarks.gateway.load import paced
from freehold.console.screens import SCREENS
from freehold.workflows.project import Project

CORES_GOAL, RATIO_GOAL = 0.5, 1.02
GATEWAY = Path(__file__).parents[1] / "gateway"
_WRITTEN_WITHIN_S = 2.0  # the recorder writes within a second, and takes in what it wrote
_RESAMPLES = 2000
Place = tuple[str, dict[str, Any]]


class OpenConsoles(NamedTuple):
    """`cores`: processor time of the console's process by the clock, for each set of consoles; `ratio`: the gateway's
    processor time a request with them to that without, with its 95 % interval."""

    cores: dict[str, float]
    asked_a_second: dict[str, float]
    with_ms: float
    without_ms: float
    ratio: float
    low: float
    high: float
    turns: int
    requests_a_second: int


def places(count: int) -> dict[str, list[Place]]:
    """What `count` open consoles show."""
    half = count // 2
    return {
        f"{half} on Overview, {count - half} on Traffic": [("overview", {})] * half
        + [("traffic", {})] * (count - half),
        f"{count} on Traffic, each with a search of its own": [
            ("traffic", {"window_s": 900 + number, "text": f"w{number:x}"}) for number in range(count)
        ],
        f"{count} on Rollout": [("rollout", {})] * count,
    }


async def _page(served: Served, place: Place, counted: list[int]) -> None:
    name, query = place
    headers = {"Authorization": f"Bearer {served.token}"}
    async with aiohttp.ClientSession(served.url, headers=headers) as session:
        async with session.get("/api/visitor") as reply:
            reply.raise_for_status()
        await asyncio.sleep(random.random() * SCREENS[name].refresh_seconds)  # pages are not opened in step
        while True:
            async with session.get(f"/api/screens/{name}", params=query) as reply:
                reply.raise_for_status()
                await reply.read()
            counted[0] += 1
            await asyncio.sleep(SCREENS[name].refresh_seconds)


@contextlib.asynccontextmanager
async def _open(served: Served, shown: list[Place], counted: list[int]):  # type: ignore[no-untyped-def]
    """The consoles, open until the end of the block. Raises what one of them met."""
    tasks = [asyncio.create_task(_page(served, place, counted)) for place in shown]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _pinned(core: int, *command: str, port: int) -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                with contextlib.suppress(urllib.error.HTTPError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30)
                break
            time.sleep(0.05)
        else:
            raise SystemExit(f"{command} does not answer")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def _spent_ms(process: psutil.Process) -> float:
    total = 0
    for one in (process, *process.children(recursive=True)):
        for task in Path(f"/proc/{one.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


async def _turn(gateway: psutil.Process, port: int, seconds: float, per_second: int) -> float:
    """Processor time of the gateway a request, in milliseconds, with what it does in the two seconds behind them."""
    before = _spent_ms(gateway)
    answered = len(await paced(port, per_second, seconds, connections=16))
    await asyncio.sleep(_WRITTEN_WITHIN_S)
    return (_spent_ms(gateway) - before) / answered


def _interval(ratios: list[float]) -> tuple[float, float]:
    """The middle 95 % of the medians of resampled turns."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(_RESAMPLES))
    return medians[int(0.025 * _RESAMPLES)], medians[int(0.975 * _RESAMPLES)]


def open_consoles(
    project: Project, *, count: int, seconds: float, turns: int, turn_s: float, per_second: int
) -> OpenConsoles:
    """Measure. The gateway writes to the project's store, which must be the file freehold.sqlite3 in its folder."""
    os.sched_setaffinity(0, {1})
    upstream, port = _free_port(), _free_port()
    beside = [sys.executable, str(GATEWAY / "upstream.py"), str(upstream)]
    incumbent = f"http://127.0.0.1:{upstream}"
    product = [
        sys.executable,
        str(GATEWAY / "product.py"),
        str(port),
        incumbent,
        str(project.root),
    ]
    with (
        _pinned(1, *beside, port=upstream),
        _pinned(0, *product, port=port) as gateway,
        console(project) as served,
    ):
        return asyncio.run(_measured(served, gateway, port, count, seconds, turns, turn_s, per_second))


async def _measured(
    served: Served,
    gateway: psutil.Process,
    port: int,
    count: int,
    seconds: float,
    turns: int,
    turn_s: float,
    per_second: int,
) -> OpenConsoles:
    cores, rates = {}, {}
    for name, shown in places(count).items():
        counted = [0]
        async with _open(served, shown, counted):
            await asyncio.sleep(3)
            before, began, counted[0] = cpu_s(served.process), time.monotonic(), 0
            await paced(port, per_second, seconds, connections=16)
            took = time.monotonic() - began
            cores[name], rates[name] = (cpu_s(served.process) - before) / took, counted[0] / took
    shown = next(iter(places(count).values()))
    found: dict[bool, list[float]] = {True: [], False: []}
    for number in range(-1, turns):
        for are_open in (True, False) if number % 2 else (False, True):
            async with _open(served, shown if are_open else [], [0]):
                one = await _turn(gateway, port, turn_s, per_second)
            if number >= 0:  # the first warms up
                found[are_open].append(one)
    ratios = [beside / alone for beside, alone in zip(found[True], found[False], strict=True)]
    low, high = _interval(ratios)
    return OpenConsoles(
        cores=cores,
        asked_a_second=rates,
        with_ms=statistics.median(found[True]),
        without_ms=statistics.median(found[False]),
        ratio=statistics.median(ratios),
        low=low,
        high=high,
        turns=turns,
        requests_a_second=per_second,
    )
