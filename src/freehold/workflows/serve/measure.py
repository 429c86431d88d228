"""`freehold fit --measure speed`: how fast a model really is here; replaces the estimate from then on.
`freehold load`: drive an endpoint with a workload and write down what it did.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Sequence
from typing import Any

import anyio
import msgspec

from freehold import __version__
from freehold.engines.engine import start
from freehold.engines.remote import listed_models
from freehold.engines.traffic import RequestBodies, drive, from_bodies, knee, rates, refusal, synthetic
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UpstreamError, UsageError
from freehold.hardware.probes import probe_machine
from freehold.hardware.speed import Build
from freehold.progress import Progress
from freehold.store import open_store
from freehold.types.endpoint import Endpoint, ServedModel, ServePlan
from freehold.types.machine import MeasuredSpeed, Speed
from freehold.types.record import content_id
from freehold.types.serving import LoadReport
from freehold.wire.base_url import stem
from freehold.workflows.fit.learned import speed_id
from freehold.workflows.fit.machine import engine_build
from freehold.workflows.project import Project, now
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
    workload = synthetic(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    speed = anyio.run(_measure, plan, project, workload)
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


async def _measure(plan: ServePlan, project: Project, workload: RequestBodies) -> Speed:
    async with start(plan, log_dir=project.state / "engines", name="bench-model") as endpoint:
        found = await rates(endpoint, plan.model, workload, rounds=BENCH_ROUNDS)
    prompt, completion = [one.prompt for one in found], [one.completion for one in found]
    return Speed(
        prefill_tokens_per_second=(min(prompt), max(prompt)),
        decode_tokens_per_second=(min(completion), max(completion)),
        decode_all_tokens_per_second=(min(completion), max(completion)),
        concurrency=1,
        how="measured",
        basis=f"{BENCH_ROUNDS} rounds on {plan.engine}: {workload.about}",
    )


MOST_TRACES = 2000
PROMPT_TOKENS, COMPLETION_TOKENS = 256, 64
"""Size of made-up prompts, and the longest answer."""


def workload_of(
    project: Project,
    *,
    from_traces: bool = False,
) -> RequestBodies:
    """The project's traces, or made-up prompts. Raises `UsageError` when there are none."""
    if from_traces:
        with open_store(project.store_url) as store:
            requests = [trace.request for trace, _ in zip(store.traces(), range(MOST_TRACES), strict=False)]
        about = f"{len(requests):,} requests from the project's traces"
        return from_bodies(requests, about=about, completion_tokens=COMPLETION_TOKENS)
    return synthetic(prompt_tokens=PROMPT_TOKENS, completion_tokens=COMPLETION_TOKENS)


def load(
    project: Project,
    *,
    endpoint: Endpoint,
    model: str,
    workload: RequestBodies,
    streams: Sequence[int],
    seconds: float,
    progress: Progress,
) -> LoadReport:
    """Measure, keep the report in the project's store and next to its reports, and return it.

    Raises `UpstreamError` when not a single request was answered, and before the first level when none of three is.
    """
    progress.step("load", note=f"{model} at {', '.join(map(str, streams))} streams, {seconds:g} s each")
    total = seconds * len(streams)

    def tell(at: int, share: float) -> None:
        progress.update((list(streams).index(at) + share) * seconds, total, unit="s", note=f"{at} streams")

    async def run() -> Any:
        if (why := await refusal(endpoint, model, workload)) is not None:
            raise UpstreamError(
                f"{endpoint.base_url} answers none of the requests: {why}",
                hint=f"models there: {', '.join(served.name for served in endpoint.models[:8])}",
            )
        return await drive(endpoint, model, workload, streams, seconds=seconds, tell=tell)

    levels = tuple(anyio.run(run))
    finished = sum(level.requests for level in levels)
    if finished == 0:
        kinds = {kind for level in levels for kind in level.errors}
        raise UpstreamError(
            f"{endpoint.base_url} answered none of the requests: {', '.join(sorted(kinds)) or 'too slow'}",
            hint="check the address and the model's name, or give it more --seconds",
        )
    prompt = sum(level.prompt_tokens_per_second * level.seconds for level in levels)
    completion = sum(level.completion_tokens_per_second * level.seconds for level in levels)
    machine = probe_machine(project.settings.home)
    draft = LoadReport(
        id="",
        at=now().isoformat(),
        version=__version__,
        url=endpoint.base_url,
        model=model,
        workload=workload.about,
        prompt_tokens=prompt / finished or None,
        completion_tokens=completion / finished or None,
        levels=levels,
        knee_streams=knee(levels),
        machine=machine.name,
    )
    report = msgspec.structs.replace(draft, id=content_id(draft))
    speed = speed_of(report)
    with open_store(project.store_url) as store:
        store.put(report)
        if speed is not None and is_here(endpoint.base_url):
            measured = MeasuredSpeed(
                id=speed_id(machine, "load", model),
                model=model,
                engine=endpoint.engine,
                weights_sha256=None,
                machine=machine.name,
                prompt_tokens=round(report.prompt_tokens or 0),
                completion_tokens=round(report.completion_tokens or 0),
                speed=speed,
                version=__version__,
            )
            store.put(measured, made_from=[report.id])
    return report


def speed_of(report: LoadReport) -> Speed | None:
    """The speeds a report shows, for `freehold fit` and `cost`; None unless one stream was among its levels.

    At one stream a prompt is read within the time to the first token, and a token written within a gap. For all at
    once it is the knee: above it further requests only wait. Ranges are between the median and the slowest tenth.
    """
    one_stream = next((level for level in report.levels if level.streams == 1), None)
    knee = next((level for level in report.levels if level.streams == report.knee_streams), None)
    if one_stream is None or knee is None or not report.prompt_tokens:
        return None
    first, between_tokens = one_stream.ttft_ms, one_stream.inter_token_ms
    if not (first.p50 and first.p90 and between_tokens.p50 and between_tokens.p90):
        return None
    all_at_once = knee.completion_tokens_per_second
    return Speed(
        prefill_tokens_per_second=(
            report.prompt_tokens * 1000 / first.p90,
            report.prompt_tokens * 1000 / first.p50,
        ),
        decode_tokens_per_second=(1000 / between_tokens.p90, 1000 / between_tokens.p50),
        decode_all_tokens_per_second=(all_at_once, all_at_once),
        concurrency=knee.streams,
        how="measured",
        basis=f"freehold load on {report.at[:10]}: {report.workload}",
    )


def is_here(url: str) -> bool:
    """Whether an address is this machine's own, so that its speed is this machine's."""
    host = urllib.parse.urlsplit(url).hostname or ""
    return host in ("127.0.0.1", "localhost", "::1")


def parse_streams(text: str) -> list[int]:
    """``1,4,8`` as ascending numbers. Raises `UsageError`."""
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1 or numbers[-1] > 4096:
        raise UsageError(f"streams {text!r} are not numbers from 1 to 4096", hint="--streams 1,4,8,32")
    return numbers


def find_endpoint(url: str, *, api_key_env: str | None = None, name: str = "asked") -> Endpoint:
    """The OpenAI-compatible endpoint at `url` (with or without ``/v1`` or the path of chats) and the models it lists.

    Raises `UsageError` for what is not an address and for a key that is not set, `EngineError` when nothing answers,
    `UpstreamError` when it lists nothing.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is not an address", hint="http://127.0.0.1:8420")
    base = stem(url.rstrip("/").removesuffix("/chat/completions"))
    if api_key_env and not os.environ.get(api_key_env):
        raise UsageError(
            f"the environment has no {api_key_env}, which should hold the endpoint's key",
            hint=f"export {api_key_env}=…",
        )
    endpoint = Endpoint(name=name, engine="remote", base_url=base, api_key_env=api_key_env)
    listed = anyio.run(listed_models, endpoint)
    if not listed:
        hint = "is it OpenAI-compatible?" if listed is None else "is a model loaded there?"
        raise UpstreamError(f"{base} lists no models", hint=hint)
    models = tuple(ServedModel(name=one, upstream_name=one) for one in listed)
    return msgspec.structs.replace(endpoint, models=models)
