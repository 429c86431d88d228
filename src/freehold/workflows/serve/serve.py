"""`freehold serve`: plan an engine for a model and its adapters, run it, put the gateway in front."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec

from freehold.engines.engine import check as check_plan
from freehold.engines.llamacpp import tuning
from freehold.engines.llamacpp.engine import usable_cores
from freehold.engines.llamacpp.engine import which as find_llama
from freehold.engines.llamacpp.options import LlamaOptions
from freehold.engines.options import read as read_options
from freehold.engines.pool import HostedModel
from freehold.engines.ports import require_loopback
from freehold.engines.vllm.engine import which as find_vllm
from freehold.engines.vllm.options import VllmOptions
from freehold.errors import InputError, MissingExtraError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import check_port
from freehold.hardware.probes import probe_machine
from freehold.settings import Settings
from freehold.types.endpoint import AdapterMount, EngineName, ServePlan
from freehold.types.model import Weights
from freehold.types.progress import Progress
from freehold.types.training import Adapter
from freehold.types.units import GIB, gib
from freehold.workflows.license.attributions import attributions
from freehold.workflows.project import Project
from freehold.workflows.serve import choice, room
from freehold.workflows.serve.hold import ServedAt, Sharing, hold
from freehold.workflows.weights.convert import to_safetensors
from freehold.workflows.weights.merge import merged, must_merge
from freehold.workflows.weights.pull import ensure_weights

ECHO = "echo"
"""The model id that means the shipped fake."""

MANIFEST = "adapter.json"
KV_TYPE = "f16"
"""What the cache holds unless somebody asks for another type."""


def plan(
    model: str,
    settings: Settings,
    *,
    engine: str = "auto",
    adapters: Sequence[AdapterMount] = (),
    context_tokens: int = 2048,
    parallel: int = 4,
    kv_type: str = "f16",
    quantization: str | None = None,
    options: dict[str, Any] | None = None,
    tuned: bool = True,
    progress: Progress | None = None,
) -> ServePlan:
    """How a model will be served; its weights are pulled when they are not here.

    `engine` of ``auto`` is what `engine_choice` says (echo for the model ``echo``). What `freehold tune-engine` found
    for the model is used where nothing else is asked for, unless `tuned` is False.
    vLLM is given safetensors: a GGUF is converted once. An adapter that no engine can put on is merged into weights of
    its own, which are served under its name: only where it is the only one. Raises `UsageError` for several, and what
    `ensure_weights`, `to_safetensors` and `merged` raise.
    """
    asked = dict(options or {})
    held_elsewhere: dict[str, EngineName] = {"echo": "echo", "ollama": "ollama", "remote": "remote"}
    if model == ECHO or engine in held_elsewhere:
        return ServePlan(
            engine=held_elsewhere.get(engine, "echo"),
            model=model,
            adapters=tuple(adapters),
            context_tokens=context_tokens,
            parallel=parallel,
            options=asked,
        )
    weights = ensure_weights(model, settings, quantization=quantization, progress=progress)
    chosen, why = choice.choose(
        engine,
        weights,
        settings,
        streams=parallel,
        adapters=adapters,
        kv_type=kv_type,
        quantization=quantization,
        options=asked,
    )
    if chosen == "vllm":
        require_engine(chosen, asked)  # before weights are converted for it
        if engine == "auto" and progress is not None:
            progress.say(f"vLLM serves {weights.model_id}: {why} (--engine llamacpp for the other)")
    if any(must_merge(mount) for mount in adapters):
        if len(adapters) > 1:
            dora = next(one.name for one in adapters if must_merge(one))
            raise UsageError(
                f"{dora} is a DoRA adapter, which is served as a model of its own, beside no other adapter",
                hint="freehold serve puts several on one address",
            )
        weights, adapters = merged(weights, adapters[0], settings, engine=chosen, progress=progress), ()
    elif chosen == "vllm":
        weights = to_safetensors(weights, settings, progress=progress)
    made = plan_for(
        weights,
        engine=chosen,
        adapters=adapters,
        context_tokens=context_tokens,
        parallel=parallel,
        kv_type=kv_type,
        threads=settings.threads,
        options=asked,
    )
    return as_tuned(made, settings, may_requantize=quantization is None) if tuned else made


def check_address(project: Project, host: str | None, port: int | None) -> tuple[str, int]:
    """Where a server of this project will listen, before weights are fetched for it. Raises `PortInUseError`."""
    host = host or project.settings.host
    port = port or project.config.serve.port or project.settings.port
    check_port(host, port)
    return host, port


def plans(
    project: Project,
    models: Sequence[str],
    *,
    adapters: Sequence[str] = (),
    engine: str | None = None,
    context_tokens: int | None = None,
    parallel: int | None = None,
    progress: Progress | None = None,
    **named: Any,
) -> list[ServePlan]:
    """Plans for several models (default: those of ``[serve] models``), each with its adapters (``NAME=PATH``).

    What is None is what ``[serve]`` says.

    An adapter belongs to the model its NAME begins with (``MODEL:NAME``), else to the first; one that is merged has a
    plan of its own. Raises `UsageError` without any model, and what `plan` raises.
    """
    config = project.config.serve
    asked = list(models or config.models)
    if not asked:
        raise UsageError(
            "no model is named", hint='freehold serve MODEL, or [serve] models = ["…"] in freehold.toml'
        )
    mounts: dict[str, list[AdapterMount]] = {model: [] for model in asked}
    for text in adapters:
        name = text.partition("=")[0]
        owner = next((model for model in asked if name.startswith(f"{model}:")), asked[0])
        mounts[owner].append(mount(text, owner))
        names = [one.name for one in mounts[owner]]
        if len(set(names)) < len(names):
            raise UsageError(f"two adapters are called {names[-1]}", hint="give each a name of its own")
    alone = {model: [one for one in mounts[model] if must_merge(one)] for model in asked}
    return [
        plan(
            model,
            project.settings,
            engine=engine or ("auto" if (model == ECHO) != (config.engine == "echo") else config.engine),
            adapters=adapters,
            context_tokens=context_tokens or config.context_tokens,
            parallel=parallel or config.parallel,
            options=_options(project, model, engine),
            progress=progress,
            **named,
        )
        for model in asked
        for adapters in (
            [one for one in mounts[model] if one not in alone[model]],
            *([one] for one in alone[model]),
        )
    ]


def _options(project: Project, model: str, engine: str | None) -> dict[str, Any] | None:
    """``[serve] options``, for models of the engine they were written for."""
    config = project.config.serve
    if engine not in (None, "auto", config.engine) and config.engine != "auto":
        return None
    return config.options if (model == ECHO) == (config.engine == "echo") else None


def as_tuned(plan: ServePlan, settings: Settings, *, may_requantize: bool = True) -> ServePlan:
    """`plan` with what `freehold tune-engine` found for its model on this machine; what was asked for stays.

    Other weights are only taken where nobody asked for a quantization and no adapter belongs to these.
    """
    if plan.engine != "llamacpp":
        return plan
    found = tuning.read(settings.home, plan.model, cores=settings.threads or usable_cores())
    if found is None:
        return plan
    way = found.settings
    if way.weights_sha256 != plan.weights_sha256:
        bound = any(mount.base_sha256 not in (None, way.weights_sha256) for mount in plan.adapters)
        if bound or not may_requantize:
            return msgspec.structs.replace(plan, options={**_ways(way.options, plan), **plan.options})
        plan = msgspec.structs.replace(plan, weights_path=way.weights_path, weights_sha256=way.weights_sha256)
    return msgspec.structs.replace(
        plan,
        threads=plan.threads or way.threads,
        kv_type=way.kv_type if _leaves_the_cache(plan) else plan.kv_type,
        options={**_ways(way.options, plan), **plan.options},
    )


CACHE_OPTIONS = ("flash_attention", "key_type")


def _leaves_the_cache(plan: ServePlan) -> bool:
    """Whether nobody asked for a cache of some kind. What was found of it goes together, and may not even go with a
    part that was asked for."""
    return plan.kv_type == KV_TYPE and not any(name in plan.options for name in CACHE_OPTIONS)


def _ways(found: dict[str, Any], plan: ServePlan) -> dict[str, Any]:
    """The options found, without those about the cache where somebody asked for another."""
    if _leaves_the_cache(plan):
        return found
    return {name: value for name, value in found.items() if name not in CACHE_OPTIONS}


def plan_for(
    weights: Weights,
    *,
    engine: EngineName,
    adapters: Sequence[AdapterMount] = (),
    context_tokens: int = 2048,
    parallel: int = 4,
    kv_type: str = "f16",
    threads: int | None = None,
    options: dict[str, Any] | None = None,
) -> ServePlan:
    """A plan for weights that are here. Weights without a chat template of their own are served with the one
    the catalog names."""
    asked = dict(options or {})
    if engine in ("llamacpp", "vllm") and weights.chat_template is not None:
        asked.setdefault("chat_template", weights.chat_template)
    return ServePlan(
        engine=engine,
        model=weights.model_id,
        weights_path=weights.path,
        weights_sha256=weights.sha256,
        adapters=tuple(adapters),
        context_tokens=context_tokens,
        parallel=parallel,
        kv_type=kv_type,
        threads=threads,
        options=asked,
    )


def require_engine(name: EngineName, options: dict[str, Any]) -> None:
    """Raise, with the command that installs it, when an engine is not here: before the work that needs it at its end.

    Raises `MissingExtraError`, `EngineError` and `UsageError` (an option it does not know).
    """
    if name == "vllm":
        find_vllm(read_options(options, VllmOptions, "vllm"))
    elif name == "llamacpp":
        binary = find_llama(read_options(options, LlamaOptions, "llamacpp"))
        if binary is None and importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtraError("the llama.cpp engine", "local")


def mount(text: str, model: str) -> AdapterMount:
    """An adapter from ``NAME=PATH``, served as ``model:NAME`` (a NAME with a colon is taken as it is; with several
    models it says which of them is meant).

    A folder that `freehold train` made says itself which weights it belongs to. Raises `UsageError` for text
    that is no such pair, `InputError` for a path that is not there or a damaged manifest.
    """
    name, equals, place = text.partition("=")
    if not equals or not name or not place:
        raise UsageError(
            f"adapter {text!r} is not NAME=PATH", hint="--adapter support=.freehold/adapters/support"
        )
    path = Path(place).expanduser()
    if not path.exists():
        raise InputError("no such adapter", path=str(path))
    manifest = _manifest(path)
    return AdapterMount(
        name=name if ":" in name else f"{model}:{name}",
        path=str(path.absolute()),
        adapter_id=manifest.id if manifest is not None else None,
        base_sha256=manifest.base_sha256 if manifest is not None else None,
    )


def _manifest(path: Path) -> Adapter | None:
    file = (path if path.is_dir() else path.parent) / MANIFEST
    if not file.is_file():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Adapter)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"not an adapter's manifest: {error}", path=str(file)) from None


def serve(
    project: Project,
    plan: ServePlan | Sequence[ServePlan],
    *,
    host: str | None = None,
    port: int | None = None,
    with_gateway: bool = True,
    pinned: Sequence[str] = (),
    preload: Sequence[str] = (),
    idle_minutes: float | None = None,
    memory_gib: float | None = None,
    ready: Callable[[ServedAt], None],
    progress: Progress,
) -> None:
    """Serve one plan or several until SIGINT or SIGTERM, behind a gateway that keeps no traces.

    One model is loaded at once, and stays unless there are `idle_minutes`. Several share the machine's memory
    (`memory_gib` of it): each is loaded when it is asked for or in `preload`, leaves after `idle_minutes` or when
    another needs its place, and stays when it is `pinned`. Raises `PortInUseError`, `UsageError` (pinned ones that do
    not fit) and `EngineError`.
    """
    host, port = check_address(project, host, port)
    plans = [plan] if isinstance(plan, ServePlan) else list(plan)
    front = (
        GatewayConfig(
            endpoints=(),
            host=host,
            port=port,
            attributions=attributions(plans, project.config.use),
            log_requests=project.settings.log_requests,
            otel=project.settings.otel,
        )
        if with_gateway
        else None
    )
    if front is None:
        plans[0] = msgspec.structs.replace(plans[0], host=host, port=port)
        if len(plans) > 1:
            require_loopback(host, "the common address of several engines")

    def on_memory(plan: ServePlan, bytes: int, why: str) -> None:
        room.learn_memory(plan, bytes, why, project.settings)
        progress.say(f"{plan.model} ran out of memory; it is taken to need {gib(bytes, 2)} from now on")

    async def run() -> None:
        await hold(
            hosted,
            front,
            log_dir=project.state / "engines",
            ready=ready,
            sharing=Sharing(
                budget_bytes=budget,
                idle_seconds=None if idle_minutes is None else idle_minutes * 60,
                preload=first,
            ),
            on_memory=on_memory,
        )

    pins, first = _models(pinned, plans), _models(preload, plans)
    given = None if memory_gib is None else round(memory_gib * GIB)
    for wanted in plans:
        check_plan(wanted)  # what cannot work is told before anything else is said
    if len(plans) == 1:
        _warn(plans[0], project, progress)
        if (better := room.advice(plans[0], project.settings)) is not None:
            progress.say(better)
        progress.step("start the engine", note=f"{plans[0].model} on {plans[0].engine}")
        stays = idle_minutes is None or plans[0].model in pins
        hosted = [
            HostedModel(plan=plans[0], bytes=room.needed_bytes(plans[0], project.settings), pinned=stays)
        ]
        budget, first = given, (plans[0].model,)
    else:
        hosted = [
            HostedModel(plan=one, bytes=room.needed_bytes(one, project.settings), pinned=one.model in pins)
            for one in plans
        ]
        budget = given if given is not None else probe_machine(project.settings.home).available_memory_bytes
        for one in hosted:
            progress.say(f"{one.plan.model} takes {gib(one.bytes, 2)}" + (", pinned" * one.pinned))
        progress.step("start", note=f"{len(plans)} models in {gib(budget, 1)}")
    anyio.run(run)


def _models(names: Sequence[str], plans: Sequence[ServePlan]) -> tuple[str, ...]:
    """Names as the plans have them (``smollm2`` for ``org/SmolLM2``). Raises `UsageError`."""
    found = []
    for name in names:
        meant = [
            plan.model
            for plan in plans
            if name.lower() in (plan.model.lower(), plan.model.lower().rpartition("/")[2])
        ]
        if not meant:
            raise UsageError(
                f"{name} is not among the models served",
                hint=f"served: {', '.join(plan.model for plan in plans)}",
            )
        found.append(meant[0])
    return tuple(found)


def _warn(plan: ServePlan, project: Project, progress: Progress) -> None:
    """Say before a load that may take minutes that memory is short."""
    fit = room.fit_of(plan, project.settings)
    if fit is not None and fit.headroom_bytes < 0:
        ways_out = f"; {fit.ways_out[0]}" if fit.ways_out else ""
        progress.say(f"memory may be short: {plan.model} {fit.reasons[0]}{ways_out}")
