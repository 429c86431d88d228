"""Hold engines and the gateway in front of them until they are told to stop; how such a server stands on its machine:
the folders it writes, the file that names it, the manager that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from freehold.engines import supervisor
from freehold.engines.engine import EngineHealth
from freehold.engines.engine import start as start_engine
from freehold.engines.weights.store import storage_errors
from freehold.errors import EngineError, FreeholdError, StorageError, UsageError
from freehold.gateway import serve as gateway
from freehold.gateway.config import GatewayConfig
from freehold.gateway.telemetry.log_file import follow_log_file
from freehold.gateway.telemetry.request_log import check_spans
from freehold.processes import claim_port
from freehold.types.endpoint import ENDPOINT_NAME, Endpoint, ServePlan
from freehold.types.record import Record
from freehold.workflows.project import Project
from freehold.workflows.serve.background import leave_word, live_servers, server_file
from freehold.workflows.serve.slots import HeldEngine, SlotKeeper, SlotsWanted

NOTIFY_SOCKET = "NOTIFY_SOCKET"


def check_folders(project: Project) -> None:
    """Raises `StorageError`, in one line, where the project's state or temporary files cannot be written: a
    container's root is often read-only."""
    state = project.state
    if (why := _unwritable(state)) is not None:
        raise StorageError(
            f"{state}: the state folder cannot be written: {why}",
            hint="in a container, mount a volume there that this user may write; or name another: FREEHOLD_STATE",
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise StorageError(
            "no folder for temporary files can be written",
            hint="in a container, mount one: --tmpfs /tmp; or name another: TMPDIR",
        ) from None


def _unwritable(folder: Path) -> str | None:
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def tell_manager(state: Literal["READY=1", "STOPPING=1"]) -> bool:
    """Tell the service manager that started this process how it is, as systemd's ``Type=notify`` asks: one datagram to
    the socket in ``NOTIFY_SOCKET`` (https://www.freedesktop.org/software/systemd/man/sd_notify.html, read 2026-11-29).

    False where no manager asked for it, or its socket does not take it. Never raises: a server does not end because its
    manager is deaf."""
    address = os.environ.get(NOTIFY_SOCKET, "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return False
    if address.startswith("@"):  # a name that is not in the file system
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.sendto(state.encode(), address)
        return True
    return False


log = logging.getLogger(__name__)

MEMORY_MARGIN = 1.25
"""A model that ran out of memory while loading is taken to need this much more than was thought."""
POLL_SECONDS = 0.25
RESTART_PAUSE_SECONDS = 1.0
BREAKER_PAUSE_SECONDS = 0.5
"""How long the gateway leaves an engine alone after failures. One that freehold holds is restarted within a second."""


class ServedAt(Record, frozen=True, kw_only=True):
    """What answers now: `url` is the gateway's, `endpoint` the first model's engine (None where none runs here),
    `others` are those of further models."""

    url: str
    endpoint: Endpoint | None
    logs: str
    others: tuple[Endpoint, ...] = ()
    remote: tuple[Endpoint, ...] = ()
    """What the gateway passes requests on to: the incumbent, and those of ``[[endpoints]]``."""
    others_to: str | None = None
    """Who is asked what no route and no endpoint's list names."""

    @property
    def models(self) -> tuple[str, ...]:
        """The names a client may ask for."""
        own = () if self.endpoint is None else (self.endpoint, *self.others)
        return tuple(served.name for endpoint in own for served in endpoint.models)


def telling(project: Project) -> dict[str, Any]:
    """What file and settings say of a gateway's log and spans, and how long answers may take to finish.

    Raises `MissingExtraError` where spans cannot be sent.
    """
    if project.settings.otel:
        check_spans()
    return {
        "drain_s": project.config.serve.drain_s,
        "log_requests": project.settings.log_requests,
        "otel": project.settings.otel,
    }


class Companion(Protocol):
    """A process that runs next to the gateway for as long as the engines are held."""

    def tend(self) -> None:
        """Start it again when it has died."""

    def stop(self) -> None:
        """End it."""


async def hold(
    plans: Sequence[ServePlan] | Mapping[str, ServePlan],
    gateway_config: GatewayConfig,
    *,
    log_dir: Path,
    ready: Callable[[ServedAt], None],
    stop: asyncio.Event | None = None,
    companion: Callable[[Path], Companion] | None = None,
    on_memory: Callable[[ServePlan, int, str], None] = lambda plan, bytes, why: None,
    follow: Callable[[], GatewayConfig | None] = lambda: None,
    slots: SlotsWanted | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or `stop`; `ready` is called once, when all models answer.

    The gateway asks each plan's engine itself, by the name of its endpoint where `plans` gives names; with no plan it
    is alone, in front of the endpoints of its configuration, which comes without the engines' own. `follow` is asked
    again and again for one that the gateway is to take over, and `slots` for the engines to hold from then on.
    `companion` starts what runs next to them and is given the folder of the logs. `on_memory` gets plan, bytes now
    assumed and reason where a model did not fit though it should have. What runs beside the engines, and who hears of
    it, are these parameters. Engines ask for the key of this run, which the gateway has. Raises what starting raises,
    and `EngineError` when no engine can be restarted.
    """
    claim_port(gateway_config.host, gateway_config.port)
    host = _ServingHost(_named(plans), gateway_config, log_dir, on_memory, companion, slots)
    await host.run(ready, stop or asyncio.Event(), follow)


def _named(plans: Sequence[ServePlan] | Mapping[str, ServePlan]) -> Mapping[str, ServePlan]:
    """Plans by the names of their endpoints. Raises `UsageError` for two of one model that were not given names."""
    if isinstance(plans, Mapping):
        return plans
    names = [plan.model for plan in plans]
    if len(set(names)) != len(names):
        raise UsageError(
            "two models have one name: " + ", ".join(sorted(names)),
            hint="name each model once; adapters are how one model answers to several names",
        )
    return {f"{ENDPOINT_NAME}-{at + 1}" if at else ENDPOINT_NAME: plan for at, plan in enumerate(plans)}


class _ServingHost:
    """Engines, and the gateway in front of them."""

    def __init__(
        self,
        plans: Mapping[str, ServePlan],
        gateway_config: GatewayConfig,
        log_dir: Path,
        on_memory: Callable[[ServePlan, int, str], None],
        companion: Callable[[Path], Companion] | None,
        slots: SlotsWanted | None,
    ) -> None:
        self._gateway_config = gateway_config
        self._log_dir = log_dir
        self._on_memory = on_memory
        self._start_companion = companion
        self._companion: Companion | None = None
        self._gateway: gateway.RunningGateway | None = None
        port = gateway_config.port
        # Another server of this project may write into the logs of the usual names.
        suffix = f"-{port}" if any(other.pid != os.getpid() for other in live_servers(log_dir)) else ""

        def begin(name: str, plan: ServePlan) -> HeldEngine:
            return HeldEngine(name, start_engine(plan, log_dir=log_dir, name=f"{name}{suffix}"))

        self._engines = {name: begin(name, plan) for name, plan in plans.items()}
        self._default_model = next((plan.model for plan in plans.values()), None)
        self._keeper = None if slots is None else SlotKeeper(slots, self._engines, begin)
        self._server_file = server_file(log_dir, port)

    async def run(
        self,
        ready: Callable[[ServedAt], None],
        stop: asyncio.Event,
        follow: Callable[[], GatewayConfig | None],
    ) -> None:
        with storage_errors(self._log_dir):  # no engine may have started that would have made it
            self._log_dir.mkdir(parents=True, exist_ok=True)
        if threading.current_thread() is threading.main_thread():
            follow_log_file()
        with _signals(stop, self._renew):
            try:
                models = ", ".join(engine.plan.model for engine in self._engines.values())
                log.info("serving %s", models or "without an engine")
                if await self._loaded(stop):
                    try:
                        await self._serve(ready)
                        tell_manager("READY=1")
                        await self._tend(stop, follow)
                    finally:  # the gateway before the engines: its streams finish while these are there
                        tell_manager("STOPPING=1")
                        if self._companion is not None:
                            await asyncio.to_thread(self._companion.stop)
                        if self._gateway is not None:
                            await asyncio.to_thread(self._gateway.stop)
                            log.info("gateway stopped")
            finally:
                await asyncio.gather(*(engine.stop() for engine in self._engines.values()))
                log.info("all engines stopped")
                self._server_file.unlink(missing_ok=True)

    async def _serve(self, ready: Callable[[ServedAt], None]) -> None:
        endpoints = self._endpoints()
        config = self._with_engines(self._gateway_config)
        log_file = self._log_dir / "gateway.log"
        self._gateway = await asyncio.to_thread(gateway.start, config, log=log_file)
        url = self._gateway.base_url
        log.info("gateway ready at %s, pid %d, its log is %s", url, self._gateway.process.pid, log_file)
        if self._start_companion is not None:
            self._companion = self._start_companion(self._log_dir)
        leave_word(self._server_file, url)
        ready(
            ServedAt(
                url=url,
                endpoint=endpoints[0] if endpoints else None,
                logs=str(self._log_dir),
                others=tuple(endpoints[1:]),
                remote=self._gateway_config.endpoints,
                others_to=self._gateway_config.others_to,
            )
        )

    def _with_engines(self, config: GatewayConfig) -> GatewayConfig:
        if self._keeper is None and not self._engines:
            return config
        attributions = [one.attributions for one in self._engines.values()]
        return msgspec.structs.replace(
            config,
            endpoints=(*self._endpoints(), *config.endpoints),
            default_model=config.default_model or self._default_model,
            attributions={
                key: text for texts in (config.attributions, *attributions) for key, text in texts.items()
            },
            breaker_pause_s=BREAKER_PAUSE_SECONDS,
        )

    async def _loaded(self, stop: asyncio.Event) -> bool:
        """Load all models; False when `stop` was set meanwhile."""
        loading = asyncio.create_task(self._load())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not loading.done():
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            return False
        loading.result()
        return True

    async def _load(self) -> None:
        """One after another: each takes what memory the ones before it left. Where engines may come and go, one that
        fails is left out as long as another answers."""
        for engine in [*self._engines.values()]:
            try:
                await engine.start()
            except FreeholdError as error:
                if supervisor.is_out_of_memory(error.message):
                    more = round(engine.plan.memory_bytes * MEMORY_MARGIN)
                    self._on_memory(engine.plan, more, error.message)
                if self._keeper is None or len(self._engines) == 1:
                    raise
                await self._keeper.drop(engine, error.message)

    def _endpoints(self) -> list[Endpoint]:
        """One for each model that is loaded, and not on its way out."""
        return [engine.endpoint for engine in self._engines.values() if engine.state == "ready"]

    async def _tend(self, stop: asyncio.Event, follow: Callable[[], GatewayConfig | None]) -> None:
        """Until `stop`: keep gateway and companion alive, and the gateway up to date."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)
            if self._companion is not None and not stop.is_set():
                self._companion.tend()
            started = [one for one in self._engines.values() if one.state != "starting"]
            healths = [engine.session.running.health() for engine in started]
            if healths and all(health.state == "failed" for health in healths):
                raise self._failure(healths[0])
            running = self._gateway
            if running is None or stop.is_set():
                continue
            changed = await asyncio.to_thread(follow)
            self._gateway_config = changed or self._gateway_config
            looked = self._keeper is not None and await self._keeper.tend(self._gateway_config.drain_s)
            if changed is not None or looked:
                wanted = self._with_engines(self._gateway_config)
                with contextlib.suppress(EngineError):  # it ended; the lines below start it with what is new
                    if changed is not None or wanted != running.config:
                        running.update(wanted)
            if not running.is_running():
                log.info("the gateway ended with %s, starting it again", running.process.returncode)
                await asyncio.sleep(RESTART_PAUSE_SECONDS)
                again = await asyncio.to_thread(gateway.start, running.config, log=running.log, again=True)
                running.process = again.process

    def _renew(self) -> None:
        if self._gateway is not None:
            log.info("renewing the gateway's workers")
            self._gateway.renew()

    def _failure(self, health: EngineHealth) -> EngineError:
        return EngineError(
            f"the engine could not be brought back: {health.last_crash}", hint=f"its log: {self._log_dir}"
        )


def _logs_rotated() -> None:
    log.info("log files are opened again where they were renamed")


@contextlib.contextmanager
def _signals(stop: asyncio.Event, renew: Callable[[], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop`, and SIGUSR2 call `renew`, while the block runs.

    SIGHUP ends a server whose terminal was closed. Where there is no terminal it says that logs were rotated, which
    each process notices by itself.
    """
    loop = asyncio.get_running_loop()
    taken = []
    actions = [(signal.SIGINT, stop.set), (signal.SIGTERM, stop.set), (signal.SIGUSR2, renew)]
    if not os.isatty(0):
        actions.append((signal.SIGHUP, _logs_rotated))
    for number, act in actions:
        # Only a main thread on a Unix may take signals; elsewhere the caller has `stop`.
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, act)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
