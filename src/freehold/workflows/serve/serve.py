"""`freehold serve`: run the engines of one plan or several, and put the gateway in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import msgspec

from freehold.engines.engine import check as check_plan
from freehold.engines.pool import HostedModel
from freehold.engines.ports import require_loopback
from freehold.errors import UsageError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import check_port
from freehold.hardware.probes import probe_machine
from freehold.types.endpoint import ServePlan
from freehold.types.progress import Progress
from freehold.types.units import GIB, gib
from freehold.workflows.license.attributions import attributions
from freehold.workflows.project import Project
from freehold.workflows.serve import room
from freehold.workflows.serve.hold import ServedAt, Sharing, hold


def check_address(project: Project, host: str | None, port: int | None) -> tuple[str, int]:
    """Where a server of this project will listen, before weights are fetched for it. Raises `PortInUseError`."""
    host = host or project.settings.host
    port = port or project.config.serve.port or project.settings.port
    check_port(host, port)
    return host, port


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
        _warn(plans[0], progress)
        if (better := room.advice(plans[0], project.settings)) is not None:
            progress.say(better)
        progress.step("start the engine", note=f"{plans[0].model} on {plans[0].engine}")
        stays = idle_minutes is None or plans[0].model in pins
        hosted = [HostedModel(plan=plans[0], bytes=plans[0].memory_bytes, pinned=stays)]
        budget, first = given, (plans[0].model,)
    else:
        hosted = [HostedModel(plan=one, bytes=one.memory_bytes, pinned=one.model in pins) for one in plans]
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


def _warn(plan: ServePlan, progress: Progress) -> None:
    """Say before a load that may take minutes that memory is short."""
    fit = plan.memory
    if fit is not None and fit.headroom_bytes < 0:
        ways_out = f"; {fit.ways_out[0]}" if fit.ways_out else ""
        progress.say(f"memory may be short: {plan.model} {fit.reasons[0]}{ways_out}")
