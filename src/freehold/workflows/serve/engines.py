"""`freehold engines`: what can serve here, and llama.cpp as it is fastest on this CPU."""

from __future__ import annotations

import importlib.util
import statistics
from functools import partial
from pathlib import Path

import anyio
import msgspec

from freehold.engines import load
from freehold.engines.engine import ENGINES, Presence, start
from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.native import NativeBuild, StreamSpeed
from freehold.engines.traffic import rates, synthetic
from freehold.engines.vllm import environment as vllm
from freehold.errors import EngineError, UsageError
from freehold.hardware.probes import load_average, usable_cores
from freehold.progress import Progress
from freehold.settings import Settings
from freehold.types.endpoint import ServePlan
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan

ROUNDS = 5
PROMPT_TOKENS, COMPLETION_TOKENS = 400, 48
"""Words in the prompt (about a token each) and tokens in the answer."""


async def measure(plan: ServePlan, *, log_dir: Path, rounds: int = ROUNDS) -> StreamSpeed:
    """Median prompt and generation speed of `plan`. Raises what a start and `traffic.rates` raise."""
    alone = msgspec.structs.replace(plan, parallel=1, port=0)
    workload = synthetic(prompt_tokens=PROMPT_TOKENS, completion_tokens=COMPLETION_TOKENS)
    async with start(alone, log_dir=log_dir, name="measure") as endpoint:
        found = await rates(endpoint, plan.model, workload, rounds=rounds)
    return StreamSpeed(
        prompt_tokens_per_second=statistics.median(one.prompt for one in found),
        completion_tokens_per_second=statistics.median(one.completion for one in found),
    )


MEASURED_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
PROMPT_SHARE = 0.5
"""How much prompt speed counts against generation speed when two builds are compared (log scale)."""


class EngineLine(Presence, frozen=True, kw_only=True):
    """One engine, and whether it can be used here."""

    name: str


def list_engines(settings: Settings) -> list[EngineLine]:
    """Every engine, in the order of the table."""
    return [
        EngineLine(name=name, **msgspec.structs.asdict(load(name).presence(settings))) for name in ENGINES
    ]


def install_vllm(settings: Settings, flavour: str, *, progress: Progress) -> vllm.Installation:
    """Install vLLM into an environment of its own. Raises what `vllm.environment.install` raises."""
    if settings.offline and vllm.read(settings.home, flavour) is None:
        raise EngineError(
            f"{flavour} is not here, and FREEHOLD_OFFLINE forbids fetching it",
            hint="unset FREEHOLD_OFFLINE for the installation",
        )
    return vllm.install(settings.home, flavour, progress)


def remove_vllm(settings: Settings, flavour: str) -> int:
    """Remove an environment of vLLM, finished or not; returns the bytes freed. Raises `UsageError` without one."""
    if not (settings.home / "engines" / flavour).exists():
        raise UsageError(f"{flavour} is not installed", hint="freehold engines list shows what is")
    return vllm.remove(settings.home, flavour)


def install_native(settings: Settings, *, log_dir: Path, progress: Progress) -> NativeBuild:
    """Build llama.cpp for this CPU, measure it next to the prebuilt library, and use the faster one from now on.

    Where building makes nothing faster it is said; llama-quantize comes with it all the same. Raises `EngineError` when
    it does not work out.
    """
    helps = native.can_help()
    progress.say(f"building helps: {helps.reason}" if helps.helps else helps.reason)
    built = native.read(settings.home) or native.build(settings.home, progress)
    return compare(built, settings, log_dir=log_dir, progress=progress)


def compare(built: NativeBuild, settings: Settings, *, log_dir: Path, progress: Progress) -> NativeBuild:
    """Measure the build and the prebuilt library with the same weights, and record which one is used."""
    request = ServeRequest(engine="llamacpp", context_tokens=1024, parallel=1)
    plan = pull_and_plan(MEASURED_MODEL, request, settings, progress=progress)

    ways = {"the build": built.binary, "the prebuilt library": "library"}
    if importlib.util.find_spec("xllamacpp") is None:
        progress.say("the prebuilt library is not installed: the build is used")
        del ways["the prebuilt library"]
    if (load := load_average() or 0.0) > usable_cores().value / 2:
        progress.say(
            f"other work wants the cores (load {load:.1f}): the faster of two ways may not be found; run this again "
            "when it is quiet, which measures and does not build again"
        )
    speeds = []
    for name, binary in ways.items():
        progress.step(f"measure {name}", note=MEASURED_MODEL)
        with_binary = msgspec.structs.replace(plan, options={**plan.options, "binary": binary})
        speeds.append(anyio.run(partial(measure, with_binary, log_dir=log_dir)))
    speed, *others = speeds
    wheel = others[0] if others else None
    measured = msgspec.structs.replace(
        built, speed=speed, wheel_speed=wheel, chosen=wheel is None or faster(speed, wheel)
    )
    native.record(settings.home, measured)
    return measured


def faster(one: native.StreamSpeed, other: native.StreamSpeed) -> bool:
    """Whether the product of both speeds, each to the power of its share, is larger."""

    def worth(speed: native.StreamSpeed) -> float:
        return float(
            speed.prompt_tokens_per_second**PROMPT_SHARE
            * speed.completion_tokens_per_second ** (1 - PROMPT_SHARE)
        )

    return worth(one) > worth(other)
