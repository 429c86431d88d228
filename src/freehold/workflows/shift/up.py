"""`freehold up`: the gateway on loopback, with the model of this project (or the default one) behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec

from freehold.errors import ConfigError
from freehold.gateway.capture.redaction import redactor_of
from freehold.gateway.config import GatewayConfig, TlsFiles
from freehold.gateway.limits import key_requirement
from freehold.privacy.library import LIBRARY
from freehold.progress import Progress
from freehold.signing.clouds import check_sources
from freehold.store import Store, audit, open_store
from freehold.store.database import store_file
from freehold.types.config import CaptureMode
from freehold.types.endpoint import ServePlan
from freehold.types.record import Record
from freehold.types.use import UseProfile
from freehold.visible import MIB
from freehold.wire.base_url import is_loopback
from freehold.workflows.project import Project, now
from freehold.workflows.serve.hold import ServedAt, check_folders, hold, telling
from freehold.workflows.shift import keys, routes
from freehold.workflows.shift.endpoints import (
    check_endpoints,
    check_routes,
    configured_endpoints,
    others_to,
    stated_prices,
    unheld_caps,
    without_key,
)
from freehold.workflows.shift.following import ConfigFollower, ObserverConfig, ObserverProcess
from freehold.workflows.shift.slots import StoredSlots

Capture = CaptureMode


class Listening(Record, frozen=True, kw_only=True):
    """Where and how the gateway listens; what is None is as the project says."""

    host: str | None = None
    port: int | None = None
    workers: int | None = None
    without_keys: bool = False
    """Other machines may ask without a key."""


def _tls_of(project: Project) -> TlsFiles | None:
    table = project.config.serve
    if table.tls_cert is None or table.tls_key is None:
        return None
    return TlsFiles(certificate=str(project.path(table.tls_cert)), key=str(project.path(table.tls_key)))


def _check_address(
    project: Project, store: Store, host: str, without_keys: bool, *, say: Callable[[str], None]
) -> bool:
    """Whether keys are needed because other machines reach the address. Raises `ConfigError` where there is none."""
    required = keys.required(store, project.keys_file, at=now())
    if without_keys and not required:
        say(f"NO KEY IS NEEDED: everybody who reaches {host} may ask, at your cost")
    beyond_loopback = not without_keys and not is_loopback(host)
    if beyond_loopback and not required:
        raise ConfigError(
            f"{host} can be reached from other machines, and no key is required: "
            "everybody there could ask, at your cost",
            hint="freehold keys add NAME makes a key; --without-keys says that the address is to be open",
        )
    return beyond_loopback


def _bytes(mib: float | None) -> int | None:
    return None if mib is None else round(mib * MIB)


def _gateway_config(project: Project, listening: Listening, capture: Capture | None) -> GatewayConfig:
    """What the file, the settings and the command line say, without what only a start can know."""
    config = project.config
    endpoints = configured_endpoints(config)
    check_sources(endpoints)
    return GatewayConfig(
        endpoints=endpoints,
        others_to=others_to(config),
        without_key=without_key(endpoints),
        host=listening.host or project.settings.host,
        port=listening.port or config.serve.port or project.settings.port,
        tls=_tls_of(project),
        hosts=config.serve.hosts,
        store_url=project.store_url,
        spool_folder=str(_spool(project)),
        keys_file=str(project.keys_file.absolute()),
        capture=capture or config.capture.mode,
        capture_opt_out=config.capture.opt_out,
        capture_queue=project.settings.capture_queue,
        body_memory_bytes=round(project.settings.body_memory_mib * MIB),
        retention_days=config.capture.retention_days,
        retention_bytes=_bytes(config.capture.retention_mib),
        workers=listening.workers or 1,
        prices=stated_prices(config),
        **telling(project),
    )


def _load_redactor(capture: Capture, progress: Progress) -> None:
    """Before the first trace: the library takes a while."""
    if capture == "pii":
        progress.step("load the library that finds personal data")
        redactor_of(capture)
        if not LIBRARY.finds_names:
            progress.say("no spaCy model is installed: numbers and addresses are found, names are not")


def _observer_config(project: Project) -> ObserverConfig:
    return ObserverConfig(
        store_url=project.store_url,
        config_path=None if project.config_path is None else str(project.config_path.absolute()),
        spool_folder=str(_spool(project)),
        changes=project.changes,
    )


def _spool(project: Project) -> Path:
    return (project.state / "spool").absolute()


def _note_start(store: Store, config: GatewayConfig, *, without_keys: bool) -> None:
    """What the file, settings and options say of who may ask and of what is kept: they change with a start."""
    detail = {
        "host": config.host,
        "hosts": config.hosts,
        "without_keys": without_keys,
        "others_to": config.others_to,
        "capture": config.capture,
        "capture_opt_out": config.capture_opt_out,
        "retention_days": config.retention_days,
        "retention_bytes": config.retention_bytes,
        "tls": config.tls is not None,
    }
    audit.note(store.database, "gateway.start", "gateway", detail=detail)


def _overruling(listening: Listening, capture: Capture | None) -> dict[str, str]:
    """Keys of the file for which an option of the command line stands, each with that option."""
    given = {
        "[capture] mode": "--capture" if capture else None,
        "[serve] port": "--port" if listening.port else None,
    }
    return {key: option for key, option in given.items() if option is not None}


def _attributions(plans: list[ServePlan], use: UseProfile) -> dict[str, str]:
    if not plans:
        return {}
    from freehold.workflows.license.rule import attributions

    return attributions(plans, use)


def _chosen(project: Project, progress: Progress) -> ServePlan:
    from freehold.workflows.serve.plan import project_plan  # late: a gateway alone starts without all of it

    return project_plan(project, progress=progress)


def _slots(project: Project, plan: ServePlan | None, progress: Progress) -> StoredSlots:
    """What is to be held, by the store: the project's own plan or the one that was asked for, and later generations."""
    return StoredSlots(
        project.store_url,
        own=lambda: plan or _chosen(project, progress),
        always=plan is not None,
        attributions=lambda held: _attributions([held], project.config.use),
    )


def _announce(plans: list[ServePlan], project: Project, progress: Progress) -> None:
    for one in plans:
        from freehold.workflows.serve.tools import unmet_in_project

        if (unmet := unmet_in_project(project, one)) is not None:
            progress.say(f"{unmet}; a route's other endpoint gets them")
        progress.step("start the engine", note=f"{one.model} on {one.engine}")


def up(
    project: Project,
    *,
    listening: Listening = Listening(),  # noqa: B008 (frozen)
    capture: Capture | None = None,
    plan: ServePlan | None = None,
    with_engine: bool = True,
    ready: Callable[[ServedAt], None],
    progress: Progress,
) -> None:
    """Serve until SIGINT or SIGTERM.

    An address that other machines reach needs keys, unless it is said that it is to be open (`without_keys`): the
    gateway spends the incumbent's money. Without an engine (`with_engine`) the endpoints of ``freehold.toml`` answer,
    nothing is pulled, and no weights are needed. The project's parts, and what `freehold up` may say about each, are
    these parameters.

    Raises `PortInUseError`, what pulling weights raises, and `EngineError` when the engine does not start.
    """
    from freehold.gateway.http.certificate import check_certificate
    from freehold.processes import claim_port

    config = project.config
    gateway_config = _gateway_config(project, listening, capture)
    if not with_engine:
        check_endpoints(gateway_config)
    check_folders(project)
    _load_redactor(gateway_config.capture, progress)
    if gateway_config.tls is not None:
        check_certificate(gateway_config.tls)
    # Before the store is opened, which would make a new one in place of one that is lost.
    key_requirement.check_file(project.keys_file, store_file(project.store_url))
    claim_port(gateway_config.host, gateway_config.port)  # before a pull that may take minutes
    slots = _slots(project, plan, progress) if with_engine else None
    held = {} if slots is None else slots.at_start()
    plans = [*held.values()]
    with open_store(project.store_url) as store:
        # Before the first request, so that no request is answered by other routes than the file's.
        routes.carry_over(store, config, at=now(), say=progress.say)
        check_routes(store.routes(), gateway_config, with_engine=with_engine, say=progress.say)
        for problem in unheld_caps(store, gateway_config):
            progress.say(f"{problem}: it is refused there (429 price_unknown)")
        beyond_loopback = _check_address(
            project, store, gateway_config.host, listening.without_keys, say=progress.say
        )
        _note_start(store, gateway_config, without_keys=listening.without_keys)
        gateway_config = msgspec.structs.replace(
            gateway_config,
            keys_required=beyond_loopback,
            attributions=_attributions(plans, config.use),
        )

    def build(changed: Project) -> GatewayConfig:
        wanted = _gateway_config(changed, listening, capture)
        if not with_engine:
            check_endpoints(wanted)
        return msgspec.structs.replace(
            wanted,
            keys_required=beyond_loopback,
            attributions=_attributions(plans, changed.config.use),
        )

    options = _overruling(listening, capture)
    follower = ConfigFollower(project, gateway_config, build=build, options=options, say=progress.say)
    _announce(plans, project, progress)

    async def run() -> None:
        await hold(
            held,
            gateway_config,
            log_dir=project.state / "engines",
            ready=ready,
            companion=lambda logs: ObserverProcess(_observer_config(project), logs / "observer.log"),
            follow=follower.poll,
            slots=slots,
        )

    with contextlib.closing(slots) if slots is not None else contextlib.nullcontext():
        anyio.run(run)
