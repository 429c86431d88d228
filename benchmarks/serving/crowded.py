"""(e) Training beside a busy server on the same cores: what each of them keeps of its pace, by how threads wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from typing import Any

import msgspec

from benchmarks.serving.common import Asked, Result, built, plain_server, plan, tell
from benchmarks.serving.driving import drive
from freehold.engines.engine import start
from freehold.engines.traffic import made_up
from freehold.types.endpoint import Endpoint

STREAMS = 4
OURS, ONE = "freehold's server", "the same on one thread"
MOST_SLOWER = 3.0
"""Two that share the cores fairly take twice as long each. Beyond this the work has collapsed."""
# A training step of about the shape of SmolLM2's block, small enough to be repeated often. Its threads wait as
# `freehold train` lets them wait.
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "20000"}
TRAIN = """
import json, sys, time
import torch
torch.manual_seed(0)
layers = torch.nn.Sequential(*[m for _ in range(4) for m in (torch.nn.Linear(576, 1536), torch.nn.GELU(),
                                                             torch.nn.Linear(1536, 576))])
optimizer = torch.optim.SGD(layers.parameters(), lr=1e-4)
data = torch.randn(1024, 576)
while True:
    began = time.perf_counter()
    loss = (layers(data) - data).square().mean()
    loss.backward(); optimizer.step(); optimizer.zero_grad()
    print(json.dumps([time.time(), time.perf_counter() - began]), flush=True)
"""


async def measure(asked: Asked) -> list[Result]:
    """Milliseconds a step and tokens a second: each alone, then together, for freehold's server, for the same with
    threads that wait otherwise, and for the engine as it comes."""
    ours = plan(asked, parallel=STREAMS, context_tokens=512)
    assert ours.weights_path is not None

    def other(**changes: Any) -> Any:
        options = {**ours.options, **changes.pop("options", {})}
        return msgspec.structs.replace(ours, options=options, **changes)

    spinning = ("--poll", "100", "--poll-batch", "1", "--parallel", str(STREAMS), "--ctx-size", "2048")
    environment = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "infinite"}
    async with contextlib.AsyncExitStack() as stack:
        servers: dict[str, Endpoint] = {}
        for name, made in (
            (OURS, ours),
            (ONE, other(threads=1)),
        ):
            session = start(made, log_dir=asked.logs, name=f"crowded-{len(servers)}")
            servers[name] = await stack.enter_async_context(session)
        servers["the engine's defaults"] = await stack.enter_async_context(
            plain_server(built(), ours.weights_path, *spinning[4:], name="defaults")
        )
        servers["an engine told to spin"] = await stack.enter_async_context(
            plain_server(built(), ours.weights_path, *spinning, name="spin", environment=environment)
        )
        steps: dict[str | None, list[float]] = {}
        rates: dict[str, list[float]] = {}
        alone: list[float] = []
        for turn in range(asked.rounds):
            order: list[str | None] = [None, *servers]
            for name in order if turn % 2 == 0 else order[::-1]:
                took, rate = await _window(asked, servers[name] if name is not None else None)
                steps.setdefault(name, []).append(took)
                if name is not None:
                    rates.setdefault(name, []).append(rate)
                tell(f"beside {name or 'nothing'}: {took:.1f} ms a step, {rate:.1f} tokens/s served")
            alone.append(await _load(asked, servers[OURS]))
            tell(f"no training: {alone[-1]:.1f} tokens/s served")
    step, served = statistics.median(steps[None]), statistics.median(alone)
    found = []
    for name in servers:
        slower = statistics.median(steps[name]) / step
        rate = statistics.median(rates[name])
        ours_only = name == OURS
        found.append(
            Result(
                "crowded",
                f"a training step beside {name}, over alone",
                slower,
                "×",
                f"{slower * step:.1f} and {step:.1f} ms",
                f"≤ {MOST_SLOWER:g}" if ours_only else "",
                slower <= MOST_SLOWER if ours_only else None,
            )
        )
        found.append(
            Result(
                "crowded",
                f"{name}, alone over beside training",
                served / max(rate, 0.1),
                "×",
                f"{served:.0f} and {rate:.0f} tokens/s",
                f"≤ {MOST_SLOWER:g}" if ours_only else "",
                served / max(rate, 0.1) <= MOST_SLOWER if ours_only else None,
            )
        )
    return found


async def _load(asked: Asked, way: Endpoint) -> float:
    """Tokens a second that the server writes at `STREAMS` streams."""
    bodies = made_up(1024, prompt_tokens=64, completion_tokens=48)
    level = await drive(way, way.models[0].name, bodies, STREAMS, seconds=asked.seconds)
    return level.completion_tokens_per_second


async def _window(asked: Asked, way: Endpoint | None) -> tuple[float, float]:
    """Median step in ms while the load is on, and tokens/s of the load."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TRAIN, stdout=asyncio.subprocess.PIPE, env={**os.environ, **WAITING}
    )
    assert process.stdout is not None
    lines: list[tuple[float, float]] = []

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            lines.append(tuple(json.loads(line)))

    reading = asyncio.create_task(read())
    try:
        while len(lines) < 3:
            await asyncio.sleep(0.05)
        began = time.time()
        rate = 0.0
        if way is None:
            await asyncio.sleep(asked.seconds)
        else:
            rate = await _load(asked, way)
        ended = time.time()
        while not lines or lines[-1][0] < began:  # a step that is longer than the window
            await asyncio.sleep(0.05)
    finally:
        process.kill()
        await process.wait()
        await reading
    within = [took for at, took in lines if at >= began and at - took <= ended]
    return statistics.median(within) * 1000, rate
