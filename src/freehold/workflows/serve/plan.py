"""How a model is served: the one place that makes a plan of weights, adapters and what was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold.engines import load
from freehold.engines.engine import read_options
from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.server import LlamaOptions
from freehold.engines.vllm import environment as vllm
from freehold.engines.weights.store import quantization_of
from freehold.errors import FreeholdError, UnknownModelError, UsageError, WeightsError
from freehold.hardware.probes import probe_machine
from freehold.progress import Progress
from freehold.settings import Settings
from freehold.store import open_store
from freehold.training.encoder.job import read_record
from freehold.types.config import ServeConfig
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.engine import ENGINE_KINDS, EngineKind
from freehold.types.machine import Fit, Workload
from freehold.types.model import Weights
from freehold.types.record import Record
from freehold.workflows.fit import learned
from freehold.workflows.fit.fit import ServingOptions, fit_model
from freehold.workflows.project import Project, now
from freehold.workflows.serve import choice
from freehold.workflows.serve.encoder import plan_encoder
from freehold.workflows.weights.made import to_safetensors
from freehold.workflows.weights.pull import ensure_weights
from freehold.workflows.weights.trained import (
    ENCODERS,
    check_writes,
    encoder_folder,
    mount,
    served_under,
)


def speed_advice(plan: ServePlan, settings: Settings) -> str | None:
    """What would make this plan faster on this machine, in one line; None when nothing is known to."""
    if not plan.engine_kind.measured or plan.options.get("binary") is not None:
        return None
    if vllm.has_gpu() and native.binary(settings.home) is None and vllm.find(settings.home) is None:
        return "a GPU is here, and the prebuilt llama.cpp serves from the CPU: freehold engines install vllm"
    benefit = native.can_help()
    if benefit.helps and native.read(settings.home) is None:
        return (
            f"llama.cpp can be several times as fast here ({benefit.reason}): "
            "freehold engines install llamacpp"
        )
    quantization = quantization_of(Path(plan.weights_path)) if plan.weights_path else ""
    if native.binary(settings.home) is not None and "_K" in quantization:
        return (
            f"{quantization} is slow on a CPU with {', '.join(native.cpu_flags()[:2])}: "
            "Q4_0 and Q8_0 are about twice as fast (--quant)"
        )
    return None


def fit_of_plan(plan: ServePlan, settings: Settings) -> Fit | None:
    """The fit of a plan on this machine; None where the engine reads no GGUF here, or one of an architecture whose
    cache is not known: it is served all the same."""
    if plan.engine_kind.reads != "gguf" or plan.weights_path is None:
        return None
    mebibytes = read_options(plan.options, LlamaOptions, "llamacpp").prompt_cache_mib
    try:
        return fit_model(
            plan.weights_path,
            workload=Workload(context_tokens=plan.context_tokens, concurrency=plan.parallel),
            settings=settings,
            options=ServingOptions(
                kv_type=plan.kv_type,
                adapters=tuple(Path(mount.path) for mount in plan.adapters),
                prompt_cache_bytes=max(0, mebibytes) << 20,
            ),
        )
    except FreeholdError:
        return None


def learn_memory(plan: ServePlan, bytes: int, why: str, settings: Settings) -> None:
    """Record that a plan ran out of memory at load and is taken to need `bytes`: `freehold fit` knows from then on."""
    fit = plan.memory
    if fit is None or plan.weights_path is None:
        return
    learned_bytes = sum(part.bytes for part in fit.parts if part.name == learned.LEARNED_PART)
    computed_bytes = fit.total_bytes - learned_bytes
    learned.learn_correction(
        settings.home,
        plan.weights_path,
        probe_machine(settings.home),
        plan.kv_type,
        more_bytes=max(0, bytes - computed_bytes),
        of_bytes=computed_bytes,
        why=why,
        at=now().isoformat(),
    )


ECHO = "echo"
"""The model id that means the shipped fake."""

ENCODER = "encoder"
"""The engine of folders that training an encoder leaves: it reads no other weights, and nothing else reads them."""


class ServeRequest(Record, frozen=True, kw_only=True):
    """What is asked of a plan. An `engine` of ``auto`` is what `choice` says (echo for the model ``echo``)."""

    engine: str = "auto"
    context_tokens: int = 2048
    parallel: int = 4
    kv_type: str = "f16"
    quantization: str | None = None
    options: dict[str, Any] = {}


def of_config(config: ServeConfig) -> ServeRequest:
    """What ``[serve]`` asks for."""
    return ServeRequest(
        engine=config.engine,
        context_tokens=config.context_tokens,
        parallel=config.parallel,
        options=config.options,
    )


def names_its_models(model: str, engine: str) -> bool:
    """Whether the engine is asked for a model by name, so that there are no weights to fetch."""
    return model == ECHO or (engine in ENGINE_KINDS and _kind(engine).names_models)


def pull_and_plan(
    model: str,
    request: ServeRequest,
    settings: Settings,
    *,
    adapters: Sequence[AdapterMount] = (),
    progress: Progress | None = None,
) -> ServePlan:
    """`plan` for a model by its name; its weights are pulled when they are not here.

    Raises what `ensure_weights` and `plan` raise.
    """
    if names_its_models(model, request.engine):
        return plan_by_name(model, request, settings, adapters=adapters)
    if (folder := encoder_folder(model)) is not None:
        return _plan_encoder(folder, request, settings, adapters)
    check_writes(model)
    weights = ensure_weights(model, settings, quantization=request.quantization, progress=progress)
    return plan(weights, request, settings, adapters=adapters, progress=progress)


def _plan_encoder(
    folder: Path, request: ServeRequest, settings: Settings, adapters: Sequence[AdapterMount]
) -> ServePlan:
    record = read_record(folder)
    return plan_encoder(
        folder,
        record.name if record is not None else folder.name,
        settings,
        adapters=adapters,
        context_tokens=request.context_tokens,
        parallel=request.parallel,
        options=request.options if request.engine == ENCODER else {},
    )


def plan_by_name(
    model: str, request: ServeRequest, settings: Settings, *, adapters: Sequence[AdapterMount] = ()
) -> ServePlan:
    """A plan for an engine that keeps its models itself."""
    named = request.engine in ENGINE_KINDS and _kind(request.engine).names_models
    return ServePlan(
        engine=_kind(request.engine).name if named else "echo",
        model=model,
        adapters=tuple(adapters),
        context_tokens=request.context_tokens,
        parallel=request.parallel,
        threads=settings.threads,
        options=request.options,
    )


def plan(
    weights: Weights,
    request: ServeRequest,
    settings: Settings,
    *,
    adapters: Sequence[AdapterMount] = (),
    name: str | None = None,
    progress: Progress | None = None,
) -> ServePlan:
    """How weights that are here are served, under their own name or `name`, and the memory that takes.

    The engine is given what it reads: for vLLM a GGUF is converted once. Weights without a chat template get the one
    the catalog names. Raises `UsageError` for a sentence encoder, and what `Engine.require` and `to_safetensors` raise.
    """
    if request.engine == ENCODER:
        raise UsageError(
            f"{weights.model_id} is not a trained encoder, which the encoder engine serves",
            hint='name the folder of one: method = "encoder" of freehold migrate trains it',
        )
    check_writes(weights.model_id, weights)
    engine, why = choice.choose(
        request.engine,
        weights,
        settings,
        adapters=adapters,
        kv_type=request.kv_type,
        quantization=request.quantization,
        options=request.options,
    )
    kind = ENGINE_KINDS[engine]
    if kind.installs_apart:
        load(engine).require(request.options, settings)  # before weights are converted for it
        if request.engine == "auto" and progress is not None:
            progress.say(
                f"{kind.title} serves {weights.model_id}: {why} (--set serve.engine=llamacpp for the other)"
            )
    if kind.reads == "safetensors":
        weights = to_safetensors(weights, settings, progress=progress)
    _check_template(request, adapters)
    options = dict(request.options)
    if kind.takes_template and weights.chat_template is not None:
        options.setdefault("chat_template", weights.chat_template)
    serve_plan = ServePlan(
        engine=engine,
        model=name or weights.model_id,
        weights_path=weights.path,
        weights_sha256=weights.sha256,
        context_tokens=request.context_tokens,
        parallel=request.parallel,
        kv_type=request.kv_type,
        threads=settings.threads,
        options=options,
    ).with_adapters(tuple(adapters))
    return msgspec.structs.replace(serve_plan, memory=fit_of_plan(serve_plan, settings))


def plans(
    project: Project,
    models: Sequence[str],
    request: ServeRequest | None = None,
    *,
    adapters: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[ServePlan]:
    """Plans for several models (default: those of ``[serve] models``), each with its adapters (``NAME=PATH``).

    `request` is what ``[serve]`` asks for where nothing else is given.

    An adapter belongs to the model its NAME begins with (``MODEL:NAME``), else to the first. Raises `UsageError`
    without any model, and what `pull_and_plan` raises.
    """
    config = project.config.serve
    request = request or of_config(config)
    model_names = list(models)
    if not model_names:
        raise UsageError("no model is named", hint="freehold serve MODEL")
    mounts: dict[str, list[AdapterMount]] = {model: [] for model in model_names}
    for text in adapters:
        owner = served_under(text, model_names)
        mounts[owner].append(mount(text, owner))
        names = [one.name for one in mounts[owner]]
        if len(set(names)) < len(names):
            raise UsageError(f"two adapters are called {names[-1]}", hint="give each a name of its own")
    planned = []
    for model in model_names:
        own_request = request
        if model == ECHO and config.engine != ECHO:  # which is echo whatever [serve] is about
            own_request = msgspec.structs.replace(request, engine="auto", options={})
        trained = ENCODERS.find(project, model) if ENCODERS.matching(project, model) else None
        source = f"file:{trained.path}" if trained is not None else model
        planned.append(
            pull_and_plan(source, own_request, project.settings, adapters=mounts[model], progress=progress)
        )
    return planned


def _check_template(request: ServeRequest, adapters: Sequence[AdapterMount]) -> None:
    """Raise `UsageError` where a template is asked for and an adapter was taught its calls with another."""
    asked = request.options.get("chat_template")
    other = next((one for one in adapters if one.chat_template not in (None, asked)), None)
    if asked is not None and other is not None:
        raise UsageError(
            f"{other.name} was trained with a chat template of its own, another is asked for",
            hint="leave chat_template out of [serve] options",
        )


def _kind(engine: str) -> EngineKind:
    return ENGINE_KINDS[engine]  # type: ignore[index]


def project_plan(project: Project, *, progress: Progress | None = None) -> ServePlan:
    """What `freehold migrate` chose last for this project, else its first candidate that writes text, as it comes.

    Raises `UsageError` where there is none, and `WeightsError` when the chosen weights are gone and cannot be fetched
    again: another model under the same name would answer unnoticed.
    """
    with open_store(project.store_url) as store:
        chosen = store.latest(ServePlan)
    if chosen is not None:
        gone = chosen.weights_path is not None and not Path(chosen.weights_path).exists()
        return _with_weights_fetched_again(chosen, project, progress) if gone else chosen
    first = project.config.writer
    if first is None:
        raise UsageError(
            "no candidate can be served as it comes: each is an encoder that is not trained yet, or answers elsewhere",
            hint="freehold migrate trains and proves one; freehold up --no-engine runs the gateway alone",
        )
    return pull_and_plan(
        first.model,
        of_config(project.config.serve),
        project.settings,
        progress=progress,
    )


def _with_weights_fetched_again(chosen: ServePlan, project: Project, progress: Progress | None) -> ServePlan:
    """The plan with its weights where they are now, fetched again when they were removed."""
    weights = None
    with contextlib.suppress(WeightsError, UnknownModelError):
        weights = ensure_weights(chosen.model, project.settings, progress=progress)
    if weights is None or weights.sha256 != chosen.weights_sha256:
        raise WeightsError(
            f"the weights that freehold migrate chose are gone: {chosen.weights_path}",
            hint="freehold migrate makes or fetches them again; freehold up --model NAME serves another",
        )
    return msgspec.structs.replace(chosen, weights_path=weights.path)
