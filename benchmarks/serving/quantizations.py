"""(f) Which engine and quantization when: prompts or writing, one stream or many."""

from __future__ import annotations

import contextlib
import statistics

import msgspec

from benchmarks.serving.common import Asked, Result, plan, tell
from benchmarks.serving.driving import drive, from_place
from freehold.engines.engine import start
from freehold.engines.llamacpp import native
from freehold.engines.traffic import made_up
from freehold.engines.vllm import environment
from freehold.engines.weights.store import WeightsStore
from freehold.progress import Silent
from freehold.settings import load
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan
from freehold.workflows.weights import made as requantize

NAMES = ("Q4_0", "Q4_1", "Q8_0", "Q4_K_M", "F16")
KINDS = {"prompt-heavy (400 read, 8 written)": (400, 8), "writing-heavy (40 read, 96 written)": (40, 96)}
STREAMS = (1, 8, 32)
QUICK_NAMES, QUICK_STREAMS = ("Q4_0", "Q8_0", "Q4_K_M"), (1, 32)
VLLM = "vLLM, 16 bits"
LEAST = 0.9


async def measure(asked: Asked) -> list[Result]:
    """Requests a second of each quantization, and of vLLM where it is installed, for two kinds of work; and whether
    ``engine = "auto"`` takes what was fastest."""
    settings = load()
    names, streams_tried = (QUICK_NAMES, QUICK_STREAMS) if asked.quick else (NAMES, STREAMS)
    store = WeightsStore(settings.home)
    base = plan(asked, parallel=max(streams_tried), context_tokens=640)
    program = native.quantize(settings.home)
    here = [one.weights for one in store.list() if one.weights.model_id == base.model]
    source = requantize.best_source(here)
    found: list[Result] = []
    async with contextlib.AsyncExitStack() as stack:
        ways = {}
        for name in names:
            weights = next((one for one in here if one.quantization == name), None)
            if weights is None and program is not None and source is not None:
                weights = requantize.requantize(program, source, name, store, Silent())
            if weights is not None:
                made = msgspec.structs.replace(base, weights_path=weights.path, weights_sha256=weights.sha256)
                ways[name] = await stack.enter_async_context(start(made, log_dir=asked.logs, name=name))
        if environment.find(settings.home) is not None:
            request = ServeRequest(engine="vllm", parallel=max(streams_tried), context_tokens=640)
            made = pull_and_plan(asked.model, request, settings)
            ways[VLLM] = await stack.enter_async_context(start(made, log_dir=asked.logs, name="vllm"))
        for kind, (prompt, written) in KINDS.items():
            bodies = made_up(4096, prompt_tokens=prompt, completion_tokens=written)
            for streams in streams_tried:
                rates: dict[str, list[float]] = {name: [] for name in ways}
                for turn in range(asked.rounds):
                    for number, (name, way) in enumerate(ways.items()):
                        shifted = from_place(bodies, (turn * len(ways) + number) * 211)
                        level = await drive(way, base.model, shifted, streams, seconds=asked.seconds)
                        rates[name].append(level.requests_per_second)
                best = max(statistics.median(values) for values in rates.values()) or 1.0
                for name, values in rates.items():
                    rate = statistics.median(values)
                    found.append(
                        Result(
                            "quantizations",
                            f"{name}, {kind}, {streams} streams",
                            rate,
                            "requests/s",
                            f"{rate / best:.0%} of the best",
                        )
                    )
                if VLLM in ways:
                    found.append(_auto(asked, kind, streams, rates))
                tell(
                    f"{kind}, {streams} streams: "
                    + ", ".join(f"{name} {statistics.median(values):.2f}" for name, values in rates.items())
                )
    return found


def _auto(asked: Asked, kind: str, streams: int, rates: dict[str, list[float]]) -> Result:
    """Whether the engine that ``auto`` takes is the faster one, or within a tenth of it."""
    request = ServeRequest(parallel=streams, context_tokens=640)
    chosen = pull_and_plan(asked.model, request, load()).engine
    vllm = statistics.median(rates[VLLM])
    llama = max(statistics.median(values) for name, values in rates.items() if name != VLLM)
    share = (vllm if chosen == "vllm" else llama) / (max(vllm, llama) or 1.0)
    return Result(
        "quantizations",
        f"auto takes {chosen}, {kind}, {streams} streams: share of the faster engine",
        share,
        "×",
        f"vLLM {vllm:.2f}, llama.cpp {llama:.2f} requests/s",
        f"≥ {LEAST}",
        share >= LEAST,
    )
