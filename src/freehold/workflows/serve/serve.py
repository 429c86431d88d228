"""`freehold serve`: run the engines of one plan or several, and put the gateway in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from freehold.engines.engine import check as check_plan
from freehold.errors import ConfigError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.hardware.probes import probe_machine
from freehold.processes import claim_port
from freehold.progress import Progress
from freehold.types.endpoint import ServePlan
from freehold.visible import gib
from freehold.wire.base_url import is_loopback
from freehold.workflows.license.rule import attributions
from freehold.workflows.project import Project
from freehold.workflows.serve.hold import ServedAt, check_folders, hold, telling
from freehold.workflows.serve.plan import learn_memory, speed_advice
from freehold.workflows.serve.tools import WAYS_OUT, unmet_in_project


def check_open(project: Project, host: str | None, *, without_keys: bool) -> None:
    """What `freehold serve` starts asks for no key: an address that other machines reach must be meant to be open.

    Raises `ConfigError`.
    """
    host = host or project.settings.host
    if not (without_keys or is_loopback(host)):
        raise ConfigError(
            f"{host} can be reached from other machines, and freehold serve asks for no key",
            hint="freehold up asks for keys; --without-keys says that the address is to be open",
        )


def check_address(project: Project, host: str | None, port: int | None) -> tuple[str, int]:
    """Where a server of this project will listen, before weights are fetched for it. Raises `PortInUseError`."""
    host = host or project.settings.host
    port = port or project.config.serve.port or project.settings.port
    claim_port(host, port)
    return host, port


def serve(
    project: Project,
    plans: Sequence[ServePlan],
    *,
    host: str | None = None,
    port: int | None = None,
    ready: Callable[[ServedAt], None],
    progress: Progress,
) -> None:
    """Serve one plan or several until SIGINT or SIGTERM, behind a gateway that keeps no traces.

    All models are loaded at the start. Raises `PortInUseError`, `UsageError` (models that do not fit together) and
    `EngineError`.
    """
    host, port = check_address(project, host, port)
    check_folders(project)
    gateway_config = GatewayConfig(
        endpoints=(),
        host=host,
        port=port,
        hosts=project.config.serve.hosts,
        attributions=attributions(plans, project.config.use),
        **telling(project),
    )
    for plan in plans:
        check_plan(plan)  # what cannot work is told before anything else is said
    _announce(project, plans, progress)

    def on_memory(plan: ServePlan, bytes: int, why: str) -> None:
        learn_memory(plan, bytes, why, project.settings)
        progress.say(f"{plan.model} ran out of memory; it is taken to need {gib(bytes, 2)} from now on")

    async def run() -> None:
        await hold(
            plans,
            gateway_config,
            log_dir=project.state / "engines",
            ready=ready,
            on_memory=on_memory,
        )

    anyio.run(run)


def _announce(project: Project, plans: Sequence[ServePlan], progress: Progress) -> None:
    """Say what is about to be loaded. Raises `UsageError` for several that do not fit together."""
    for plan in plans:
        if (unmet := unmet_in_project(project, plan)) is not None:
            progress.say(f"{unmet}; {WAYS_OUT}")
    if len(plans) == 1:
        (plan,) = plans
        _warn(plan, progress)
        if (faster := speed_advice(plan, project.settings)) is not None:
            progress.say(faster)
        progress.step("start the engine", note=f"{plan.model} on {plan.engine}")
        return
    available = probe_machine(project.settings.home).available_memory_bytes
    needed = sum(plan.memory_bytes for plan in plans)
    for plan in plans:
        progress.say(f"{plan.model} takes {gib(plan.memory_bytes, 2)}")
    if needed > available:
        raise UsageError(
            f"the models need {gib(needed, 2)} together, {gib(available, 2)} are available",
            hint="serve fewer, or give them less context: [serve] context_tokens and parallel, --kv-type q8_0",
        )
    progress.step("start", note=f"{len(plans)} models in {gib(available, 1)}")


def _warn(plan: ServePlan, progress: Progress) -> None:
    """Say before a load that may take minutes that memory is short."""
    fit = plan.memory
    if fit is not None and fit.headroom_bytes < 0:
        hint = f"; {fit.ways_out[0]}" if fit.ways_out else ""
        progress.say(f"memory may be short: {plan.model} {fit.reasons[0]}{hint}")
