"""(a) The same engine, asked directly and through `freehold serve`, by turns."""

from __future__ import annotations

import asyncio
import socket
import statistics

from benchmarks.serving.common import Asked, Result, plan, ratio, tell
from benchmarks.serving.driving import Level, drive, from_place
from freehold.engines.traffic import made_up
from freehold.gateway.config import GatewayConfig
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel
from freehold.workflows.serve.hold import ServedAt, hold

STREAMS = (1, 4, 8, 32)
LEAST = 0.98


async def measure(asked: Asked) -> list[Result]:
    """Throughput and time to the first token at each number of streams, as shares of the engine's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop, ready = asyncio.Event(), asyncio.Event()
    told: list[ServedAt] = []

    def on_ready(running: ServedAt) -> None:
        told.append(running)
        ready.set()

    front = GatewayConfig(endpoints=(), host="127.0.0.1", port=port)
    served = plan(asked, parallel=max(STREAMS), context_tokens=256)
    held = asyncio.create_task(hold([served], front, log_dir=asked.logs, ready=on_ready, stop=stop))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({held, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if held.done():
        held.result()
    try:
        direct = told[0].endpoint
        through = Endpoint(
            name="through",
            engine="remote",
            base_url=told[0].url,
            models=(ServedModel(name=served.model, upstream_name=served.model),),
            capabilities=Capabilities(),
        )
        return await _levels(asked, direct, through, served.model)
    finally:
        stop.set()
        await held


async def _levels(asked: Asked, direct: Endpoint, through: Endpoint, model: str) -> list[Result]:
    found = []
    bodies = made_up(4096, prompt_tokens=64, completion_tokens=48)
    for streams in STREAMS:
        rates, firsts = [], []
        for turn in range(asked.rounds):
            ways = [direct, through] if turn % 2 == 0 else [through, direct]
            levels: dict[str, Level] = {}
            for way in ways:
                shifted = from_place(bodies, (turn * 2 + ways.index(way)) * 997)
                levels[way.name] = await drive(way, model, shifted, streams, seconds=asked.seconds)
            one, other = levels[through.name], levels[direct.name]
            rates.append((one.completion_tokens_per_second, other.completion_tokens_per_second))
            firsts.append((other.first_ms, one.first_ms or 1.0))
            tell(f"{streams} streams: {rates[-1][0]:.0f} of {rates[-1][1]:.0f} tokens/s")
        for what, pairs, unit in (("throughput", rates, "tokens/s"), ("first token", firsts, "ms")):
            share = ratio(pairs)
            found.append(
                Result(
                    "through",
                    f"{what} at {streams} streams, share of the engine's own",
                    share,
                    "×",
                    _detail(pairs, unit, turned=what == "first token"),
                    f"≥ {LEAST}",
                    share >= LEAST,
                )
            )
    return found


def _detail(pairs: list[tuple[float, float]], unit: str, *, turned: bool) -> str:
    one, other = (statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs))
    if turned:
        one, other = other, one
    return f"{one:,.1f} through freehold, {other:,.1f} direct ({unit})"
