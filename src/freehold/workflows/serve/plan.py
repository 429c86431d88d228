"""How a model is served: the one place that makes a plan of weights, adapters and what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold.engines import load
from freehold.errors import UsageError
from freehold.settings import Settings
from freehold.training.encoder import read_record
from freehold.types.config import ServeConfig
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.engine import ENGINE_KINDS, EngineKind
from freehold.types.model import Weights
from freehold.types.progress import Progress
from freehold.types.record import Record
from freehold.workflows.project import Project
from freehold.workflows.serve import choice, room
from freehold.workflows.serve.encoder import plan_encoder
from freehold.workflows.serve.mounts import mount, served_under
from freehold.workflows.weights.convert import to_safetensors
from freehold.workflows.weights.merge import merged, must_merge
from freehold.workflows.weights.pull import ensure_weights
from freehold.workflows.weights.trained import ENCODERS, check_writes, encoder_folder

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

    The engine is given what it reads: for vLLM a GGUF is converted once, and an adapter that no engine attaches is
    merged once into weights of its own, which are served under its name. Weights without a chat template get the
    one the catalog names. Raises `UsageError` for a sentence encoder and for several adapters of which one must be
    merged, and what `Engine.require`, `to_safetensors` and `merged` raise.
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
        streams=request.parallel,
        adapters=adapters,
        kv_type=request.kv_type,
        quantization=request.quantization,
        options=request.options,
    )
    kind = ENGINE_KINDS[engine]
    if kind.installs_apart:
        load(engine).require(request.options, settings)  # before weights are converted for it
        if request.engine == "auto" and progress is not None:
            progress.say(f"{kind.title} serves {weights.model_id}: {why} (--engine llamacpp for the other)")
    weights, mounts = _as_read(weights, adapters, kind, settings, progress)
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
    ).with_adapters(mounts)
    return msgspec.structs.replace(serve_plan, memory=room.fit_of(serve_plan, settings))


def plans(
    project: Project,
    models: Sequence[str],
    request: ServeRequest | None = None,
    *,
    adapters: Sequence[str] = (),
    engine: str | None = None,
    progress: Progress | None = None,
) -> list[ServePlan]:
    """Plans for several models (default: those of ``[serve] models``), each with its adapters (``NAME=PATH``).

    `request` is what ``[serve]`` asks for where nothing else is given. `engine` overrides the engine of ``[serve]``,
    whose options are left out for another one.

    An adapter belongs to the model its NAME begins with (``MODEL:NAME``), else to the first; one that is merged has a
    plan of its own. Raises `UsageError` without any model, and what `pull_and_plan` raises.
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
        own_request = msgspec.structs.replace(
            request,
            engine=engine or _engine(config, model),
            options=_options(config, model, engine),
        )
        to_merge = [one for one in mounts[model] if must_merge(one)]
        to_attach = [one for one in mounts[model] if one not in to_merge]
        trained = ENCODERS.find(project, model) if ENCODERS.matching(project, model) else None
        source = f"file:{trained.path}" if trained is not None else model
        planned += [
            pull_and_plan(source, own_request, project.settings, adapters=group, progress=progress)
            for group in (to_attach, *([one] for one in to_merge))
        ]
    return planned


def _as_read(
    weights: Weights,
    adapters: Sequence[AdapterMount],
    kind: EngineKind,
    settings: Settings,
    progress: Progress | None,
) -> tuple[Weights, tuple[AdapterMount, ...]]:
    """Weights and adapters as the engine reads them."""
    to_merge = next((one for one in adapters if must_merge(one)), None)
    if to_merge is not None and len(adapters) > 1:
        raise UsageError(
            f"{to_merge.name} is a DoRA adapter, which is served as a model of its own, without other adapters",
            hint="freehold serve puts several on one address",
        )
    if to_merge is not None:
        return merged(weights, to_merge, settings, engine=kind.name, progress=progress), ()
    if kind.reads == "safetensors":
        weights = to_safetensors(weights, settings, progress=progress)
    return weights, tuple(adapters)


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


def _engine(config: ServeConfig, model: str) -> str:
    """The engine that ``[serve]`` means for a model: echo for echo alone."""
    return "auto" if (model == ECHO) != (config.engine == ECHO) else config.engine


def _options(config: ServeConfig, model: str, engine: str | None) -> dict[str, Any]:
    """``[serve] options``, for models of the engine they were written for."""
    if engine not in (None, "auto", config.engine) and config.engine != "auto":
        return {}
    return config.options if (model == ECHO) == (config.engine == ECHO) else {}
