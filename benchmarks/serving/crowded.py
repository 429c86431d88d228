"""(e) Training beside a busy server on the same cores, with freehold's waiting and with the engine's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time

import msgspec

from benchmarks.serving.common import Asked, Result, built, plain_server, plan, tell
from freehold.engines.engine import start
from freehold.engines.traffic import drive, synthetic
from freehold.types.endpoint import Endpoint

STREAMS = 4
# A training step of about the shape of SmolLM2's block, small enough to be repeated often.
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
    """Milliseconds a step: alone, beside freehold's server, beside the same server with its own thread settings;
    and what the servers do meanwhile."""
    ours = plan(asked, parallel=STREAMS, context_tokens=512)
    assert ours.weights_path is not None
    spinning = ("--poll", "100", "--poll-batch", "1", "--parallel", str(STREAMS), "--ctx-size", "2048")
    environment = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "infinite"}
    async with contextlib.AsyncExitStack() as stack:
        quiet = await stack.enter_async_context(start(ours, log_dir=asked.logs, name="quiet"))
        # One thread has no barriers: where cores are contended, two threads mostly wait for each other's turn.
        single = await stack.enter_async_context(
            start(msgspec.structs.replace(ours, threads=1), log_dir=asked.logs, name="single")
        )
        defaults = await stack.enter_async_context(
            plain_server(built(), ours.weights_path, *spinning[4:], name="defaults")
        )
        spin = await stack.enter_async_context(
            plain_server(built(), ours.weights_path, *spinning, name="spin", environment=environment)
        )
        steps: dict[str, list[float]] = {}
        rates: dict[str, list[float]] = {}
        for _ in range(asked.rounds):
            for name, way in (
                ("alone", None),
                ("beside freehold's server", quiet),
                ("beside freehold's server on one thread", single),
                ("beside the engine's defaults", defaults),
                ("beside an engine told to spin", spin),
            ):
                took, rate = await _window(asked, way)
                steps.setdefault(name, []).append(took)
                rates.setdefault(name, []).append(rate)
                tell(f"{name}: {took:.1f} ms a step, {rate:.1f} tokens/s served")
    median = {name: statistics.median(values) for name, values in steps.items()}
    served = {name: statistics.median(values) for name, values in rates.items()}
    return [
        Result(
            "crowded",
            f"a training step {name}",
            value,
            "ms",
            f"{value / median['alone']:.1f} times as long as alone"
            + (f", {served[name]:.0f} tokens/s served meanwhile" if served[name] else ""),
        )
        for name, value in median.items()
    ]


async def _window(asked: Asked, way: Endpoint | None) -> tuple[float, float]:
    """Median step in ms while the load is on, and tokens/s of the load."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TRAIN, stdout=asyncio.subprocess.PIPE, env={**os.environ}
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
            (level,) = await drive(
                way,
                way.models[0].name,
                synthetic(prompt_tokens=64, completion_tokens=48, count=1024),
                [STREAMS],
                seconds=asked.seconds,
            )
            rate = level.completion_tokens_per_second
        ended = time.time()
    finally:
        process.kill()
        await process.wait()
        await reading
    within = [took for at, took in lines if began + took <= at <= ended]
    return statistics.median(within) * 1000, rate
