"""`freehold fit --measure speed`: how fast a model really is here; replaces the estimate from then on."""

from __future__ import annotations

from typing import Any

import anyio

from freehold import __version__
from freehold.engines.engine import start
from freehold.engines.traffic import made_up, rates
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UsageError
from freehold.hardware.probes import probe_machine
from freehold.hardware.speed import Build
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.types.machine import MeasuredSpeed, Speed
from freehold.workflows.fit.learned import speed_id
from freehold.workflows.fit.machine import engine_build
from freehold.workflows.project import Project
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan

BENCH_ROUNDS = 3


def bench(
    project: Project,
    model: str,
    *,
    engine: str = "auto",
    prompt_tokens: int = 512,
    completion_tokens: int = 64,
    quantization: str | None = None,
) -> MeasuredSpeed:
    """Serve the model, let it read and write a few times, and keep the slowest and fastest rates.

    Raises what serving raises, `UsageError` for sizes below 16 tokens, `UpstreamError` when the engine does not
    count its tokens.
    """
    if prompt_tokens < 16 or completion_tokens < 16:
        raise UsageError("fewer than 16 tokens time the start, not the speed")
    request = ServeRequest(
        engine=engine,
        context_tokens=2 * (prompt_tokens + completion_tokens) + 256,
        parallel=1,
        quantization=quantization,
        options=project.config.serve.options,
    )
    plan = pull_and_plan(model, request, project.settings)
    bodies = made_up(BENCH_ROUNDS + 1, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    about = f"made-up prompts of {prompt_tokens} words, {completion_tokens} tokens back"
    speed = anyio.run(_measure, plan, project, bodies, about)
    machine = probe_machine(project.settings.home)
    measured = MeasuredSpeed(
        id=speed_id(
            machine, f"{plan.engine} {build_of(project, plan) or ''}", plan.weights_sha256 or plan.model
        ),
        model=plan.model,
        engine=plan.engine,
        weights_sha256=plan.weights_sha256,
        machine=machine.name,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        speed=speed,
        quantization=quantization_of(project, plan),
        build=build_of(project, plan),
        version=__version__,
    )
    with open_store(project.store_url) as store:
        store.put(measured)
    return measured


def quantization_of(project: Project, plan: ServePlan) -> str | None:
    """Which quantization the weights of a plan are, as the store recorded it."""
    for stored in WeightsStore(project.settings.home).list():
        if plan.weights_sha256 is not None and stored.weights.sha256 == plan.weights_sha256:
            return stored.weights.quantization
    return None


def build_of(project: Project, plan: ServePlan) -> Build | None:
    """``native`` for llama.cpp compiled on this machine, ``wheel`` for the prebuilt library; None elsewhere."""
    if not plan.engine_kind.measured:
        return None
    binary = plan.options.get("binary")
    if binary is not None:
        return "wheel" if binary == "library" else "native"
    return engine_build(project.settings)


async def _measure(plan: ServePlan, project: Project, bodies: list[dict[str, Any]], about: str) -> Speed:
    async with start(plan, log_dir=project.state / "engines", name="bench-model") as endpoint:
        found = await rates(endpoint, plan.model, bodies)
    prompt, completion = [one.prompt for one in found], [one.completion for one in found]
    return Speed(
        prefill_tokens_per_second=(min(prompt), max(prompt)),
        decode_tokens_per_second=(min(completion), max(completion)),
        decode_all_tokens_per_second=(min(completion), max(completion)),
        concurrency=1,
        how="measured",
        basis=f"{BENCH_ROUNDS} rounds on {plan.engine}: {about}",
    )
