"""`freehold bench-model`: how fast a model really is here; replaces the estimate from then on."""

from __future__ import annotations

import time
from typing import Any

import anyio

from freehold import __version__
from freehold.engines import keys
from freehold.engines.engine import start
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UpstreamError, UsageError
from freehold.hardware.probes import probe_machine
from freehold.hardware.speed import Build
from freehold.late import aiohttp
from freehold.store import open_store
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.machine import MeasuredSpeed, Speed
from freehold.wire.base_url import joined
from freehold.workflows.fit.machine import engine_build
from freehold.workflows.fit.speeds import speed_id
from freehold.workflows.project import Project
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan

ROUNDS = 3
TIMEOUT_SECONDS = 300.0
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "wizards",
    "box",
    "with",
    "vexed",
    "jolly",
    "giants",
]


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
    speed = anyio.run(_measure, plan, project, prompt_tokens, completion_tokens)
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


async def _measure(plan: ServePlan, project: Project, prompt_tokens: int, completion_tokens: int) -> Speed:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with (
        start(plan, log_dir=project.state / "engines", name="bench-model") as endpoint,
        aiohttp.ClientSession(timeout=timeout) as client,
    ):
        await _request(
            client, endpoint, plan.model, _prompt(16, 0), 1
        )  # the first request pays for what is lazy
        prefill_rates, decode_rates = [], []
        for number in range(1, ROUNDS + 1):
            seconds_to_read, prompt_tokens_read, _ = await _request(
                client, endpoint, plan.model, _prompt(prompt_tokens, number), 1
            )
            prefill_rates.append(prompt_tokens_read / seconds_to_read)
            seconds_for_one, _, _ = await _request(client, endpoint, plan.model, _prompt(16, number), 1)
            seconds_for_all, _, tokens_written = await _request(
                client, endpoint, plan.model, _prompt(16, number + 100), completion_tokens
            )
            if tokens_written > 1 and seconds_for_all > seconds_for_one:
                decode_rates.append((tokens_written - 1) / (seconds_for_all - seconds_for_one))
    if not decode_rates:
        raise UpstreamError(
            f"{plan.model} wrote too little to time it", hint="try a larger --completion-tokens"
        )
    return Speed(
        prefill_tokens_per_second=(min(prefill_rates), max(prefill_rates)),
        decode_tokens_per_second=(min(decode_rates), max(decode_rates)),
        decode_all_tokens_per_second=(min(decode_rates), max(decode_rates)),
        concurrency=1,
        how="measured",
        basis=f"{ROUNDS} rounds of {prompt_tokens} tokens read and {completion_tokens} written on {plan.engine}",
    )


def _prompt(tokens: int, number: int) -> str:
    """About as many tokens as asked, different each time so that no prompt cache helps."""
    return f"{number} " + " ".join(WORDS[(number * 7 + place) % len(WORDS)] for place in range(tokens))


async def _request(
    client: aiohttp.ClientSession, endpoint: Endpoint, model: str, prompt: str, max_tokens: int
) -> tuple[float, int, int]:
    """Seconds, prompt tokens and completion tokens of one request."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    start_time = time.perf_counter()
    try:
        async with client.post(
            joined(endpoint.base_url, "/v1/chat/completions"), json=body, headers=keys.headers(endpoint)
        ) as response:
            answer = await response.json()
    except (aiohttp.ClientError, ValueError, TimeoutError) as error:
        raise UpstreamError(f"{endpoint.base_url} did not answer: {error}") from None
    seconds = time.perf_counter() - start_time
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int):
        raise UpstreamError(f"{model} answered without counting its tokens", hint="see the engine's log")
    return seconds, int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0)
