"""`freehold tune-engine`: find the fastest way to run a model here, by measuring, and use it from then on."""

from __future__ import annotations

from functools import partial

import anyio
import msgspec

from freehold import __version__
from freehold.engines.llamacpp import native, tuning
from freehold.engines.llamacpp.measure import RequestSize, measure
from freehold.engines.llamacpp.tuning import Trial, TuningResult
from freehold.errors import UsageError
from freehold.hardware.probes.cpu import cores as machine_cores
from freehold.hardware.probes.cpu import load_average
from freehold.types.progress import Progress
from freehold.workflows.project import Project, now
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan


def tune(
    project: Project,
    model: str,
    size: RequestSize = RequestSize(),  # noqa: B008 (frozen)
    *,
    progress: Progress,
) -> TuningResult:
    """Measure a handful of settings, one after another, with requests of this size, and keep the fastest.

    Raises what pulling weights and starting the engine raise, and `UsageError`.
    """
    if min(size) < 1:
        raise UsageError("sizes must be at least 1")
    request = ServeRequest(engine="llamacpp", context_tokens=2 * sum(size) + 256, parallel=1, tuned=False)
    plan = pull_and_plan(model, request, project.settings, progress=progress)
    if not plan.engine_kind.tunable:
        raise UsageError(f"{plan.model} does not run on llama.cpp", hint="tune-engine is for GGUF weights")
    cores = project.settings.threads or machine_cores().value
    tried = tuning.ways(cores)
    trials = []
    for number, way in enumerate(tried):
        progress.step("measure", note=f"{way.describe()} ({number + 1} of {len(tried)})")
        with_way = msgspec.structs.replace(plan, threads=way.threads, options={**plan.options, **way.options})
        speed = anyio.run(partial(measure, with_way, log_dir=project.state / "engines", size=size))
        seconds = tuning.request_seconds(speed, **size._asdict())
        trials.append(Trial(settings=way, seconds=seconds, speed=speed))
    best = tuning.choose(trials)
    trials[best] = msgspec.structs.replace(trials[best], taken=True)
    result = TuningResult(
        id=tuning.tuning_id(plan.model, cores=cores),
        model=plan.model,
        cpu=native.cpu_name(),
        cores=cores,
        prompt_tokens=size.prompt_tokens,
        completion_tokens=size.completion_tokens,
        settings=trials[best].settings,
        trials=tuple(trials),
        speedup=trials[0].seconds / trials[best].seconds,
        at=now().isoformat(),
        version=__version__,
        load_average=load_average(),
    )
    tuning.write(project.settings.home, result)
    return result
