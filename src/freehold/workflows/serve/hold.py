"""Hold engines and the gateway in front of them until they are told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from freehold.engines import keys
from freehold.engines.engine import EngineHealth
from freehold.engines.pool import Pool
from freehold.engines.pool.control import Control, Served
from freehold.engines.pool.front import Front
from freehold.engines.weights.store import storage_errors
from freehold.errors import EngineError
from freehold.gateway import serve as gateway
from freehold.gateway.config import GatewayConfig
from freehold.gateway.telemetry.log_file import follow_log_file
from freehold.processes import described
from freehold.types.endpoint import Endpoint, ServedModel, ServePlan
from freehold.types.record import Record
from freehold.workflows.serve import servers
from freehold.workflows.serve.names import ENDPOINT_NAME
from freehold.workflows.serve.service_notice import tell_manager

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
RESTART_PAUSE_SECONDS = 1.0
BREAKER_PAUSE_SECONDS = 0.5
"""How long the gateway leaves an engine alone after failures. One that freehold holds is restarted within a second."""


class ServedAt(Record, frozen=True, kw_only=True):
    """What answers now: `url` is the gateway's (or the engine's own, when there is no gateway). `endpoint` is the
    first model's, None where no engine runs here; `others` are those of further models."""

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


class Companion(Protocol):
    """A process that runs next to the gateway for as long as the engines are held."""

    def tend(self) -> None:
        """Start it again when it has died."""

    def stop(self) -> None:
        """End it."""


async def hold(
    plans: Sequence[ServePlan],
    gateway_config: GatewayConfig | None,
    *,
    log_dir: Path,
    ready: Callable[[ServedAt], None],
    stop: asyncio.Event | None = None,
    companion: Callable[[Path], Companion] | None = None,
    on_memory: Callable[[ServePlan, int, str], None] = lambda plan, bytes, why: None,
    key_env: str | None = None,
    follow: Callable[[], GatewayConfig | None] = lambda: None,
) -> None:
    """Serve until SIGINT, SIGTERM or `stop`; `ready` is called once, when all models answer.

    One plan is served by its engine itself, several models share one address. With
    none the gateway is alone, in front of the endpoints of its configuration.
    `gateway_config` comes without the engines' endpoints, which are added; with None one engine answers alone at its
    plan's address, and several behind the first plan's. `follow` is asked again and again for a configuration that the
    gateway is to take over, without the engines' endpoints. `companion` starts what runs next to them and is given the
    folder of the logs. Engines ask for the key of this run, which the gateway has; without a gateway, the address asks
    for the key in the environment variable `key_env`, or for none. Raises what starting raises, and `EngineError` when
    no engine can be restarted. It has many parameters because it is where all parts of a server meet.
    """
    stop = stop or asyncio.Event()
    if gateway_config is not None:
        gateway.check_port(gateway_config.host, gateway_config.port)
    if gateway_config is not None:
        key_env = keys.RUN_KEY_ENV
    host = _ServingHost(plans, gateway_config, log_dir, on_memory, companion, key_env)
    await host.run(ready, stop, follow)


class _ServingHost:
    """Engines, their common address, the gateway."""

    def __init__(
        self,
        plans: Sequence[ServePlan],
        gateway_config: GatewayConfig | None,
        log_dir: Path,
        on_memory: Callable[[ServePlan, int, str], None],
        companion: Callable[[Path], Companion] | None,
        key_env: str | None,
    ) -> None:
        if not plans and gateway_config is None:
            raise ValueError("neither an engine nor a gateway to hold")
        first = plans[0] if plans else None
        self._gateway_config = gateway_config
        self._log_dir = log_dir
        self._start_companion = companion
        self._companion: Companion | None = None
        # Nothing need be in between, but what prepares requests, where no gateway does.
        self._alone = len(plans) == 1 and (gateway_config is not None or plans[0].preparation is None)
        self._address = ("127.0.0.1", 0) if first is None else (first.host, first.port)
        self._key_env = key_env
        if gateway_config is None and not self._alone:  # the port is that of all of them, not of one engine
            plans = [msgspec.structs.replace(plan, port=0) for plan in plans]
        self._gateway: gateway.RunningGateway | None = None
        self._updates: asyncio.Event = asyncio.Event()
        port = self._address[1] if gateway_config is None else gateway_config.port
        # Another server of this project may write into the logs of the usual names.
        suffix = f"-{port}" if any(other.pid != os.getpid() for other in servers.live(log_dir)) else ""
        numbered = (f"{ENDPOINT_NAME}-{number}" for number in range(2, len(plans) + 1))
        self._names = [ENDPOINT_NAME, *numbered] if plans else []
        self._server_file = log_dir / f"serving-{port}.json"
        self._pool = Pool(
            plans,
            [f"{name}{suffix}" for name in self._names],
            log_dir=log_dir,
            on_change=self._updates.set,
            on_memory=on_memory,
            # Of several, and of what a gateway is in front of, the engines themselves are asked by freehold alone.
            key_env=key_env if self._alone else keys.RUN_KEY_ENV,
        )
        self._control = Control(self._pool)
        self._front = Front(self._pool, self._control, keys.RUN_KEY_ENV if self._alone else key_env)

    async def run(
        self,
        ready: Callable[[ServedAt], None],
        stop: asyncio.Event,
        follow: Callable[[], GatewayConfig | None],
    ) -> None:
        with storage_errors(self._log_dir):  # no engine may have started that would have made it
            self._log_dir.mkdir(parents=True, exist_ok=True)
        host, port = ("127.0.0.1", 0) if self._alone or self._gateway_config is not None else self._address
        if threading.current_thread() is threading.main_thread():
            follow_log_file()
        with _signals(stop, self._renew):
            try:
                log.info(
                    "serving %s", ", ".join(plan.model for plan in self._pool.plans) or "without an engine"
                )
                async with self._front.running(host, port):
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
                await self._pool.close()
                log.info("all engines stopped")
                self._server_file.unlink(missing_ok=True)

    async def _serve(self, ready: Callable[[ServedAt], None]) -> None:
        endpoints = self._endpoints()
        url = endpoints[0].base_url if self._alone else self._front.base_url
        if self._gateway_config is not None:
            config = self._with_engines(self._gateway_config, endpoints)
            log_file = self._log_dir / "gateway.log"
            self._gateway = await asyncio.to_thread(gateway.start, config, log=log_file)
            url = self._gateway.base_url
            log.info("gateway ready at %s, pid %d, its log is %s", url, self._gateway.process.pid, log_file)
        if self._start_companion is not None:
            self._companion = self._start_companion(self._log_dir)
        self._updates.clear()
        if self._gateway_config is not None or not self._alone:
            self._write_server_file(url)
        config_given = self._gateway_config
        ready(
            ServedAt(
                url=url,
                endpoint=endpoints[0] if endpoints else None,
                logs=str(self._log_dir),
                others=tuple(endpoints[1:]),
                remote=config_given.endpoints if config_given is not None else (),
                others_to=None if config_given is None else config_given.others_to,
            )
        )

    def _with_engines(self, config: GatewayConfig, endpoints: Sequence[Endpoint]) -> GatewayConfig:
        if not endpoints:
            return config
        return msgspec.structs.replace(
            config,
            endpoints=(*endpoints, *config.endpoints),
            default_model=config.default_model or self._pool.plans[0].model,
            breaker_pause_s=BREAKER_PAUSE_SECONDS,
        )

    async def _loaded(self, stop: asyncio.Event) -> bool:
        """Load all models; False when `stop` was set meanwhile."""
        loading = asyncio.create_task(self._pool.start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not loading.done():
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            return False
        loading.result()
        return True

    def _endpoints(self) -> list[Endpoint]:
        """One for each model under a name that stays. Alone: the engine's own address, so that nothing is between
        it and the gateway. Several: the common address."""
        endpoints = []
        for name, plan in zip(self._names, self._pool.plans, strict=True):
            loaded = self._pool.endpoint(plan.model)
            if self._alone:
                return [msgspec.structs.replace(loaded, name=name, models=_known(loaded.models, plan))]
            names = (plan.model, *(mount.name for mount in plan.adapters))
            endpoints.append(
                Endpoint(
                    name=name,
                    engine=plan.engine,
                    base_url=self._front.base_url,
                    models=_known([ServedModel(name=each, upstream_name=each) for each in names], plan),
                    capabilities=loaded.capabilities,
                    api_key_env=self._key_env,
                    context_tokens=plan.context_tokens,
                )
            )
        return endpoints

    async def _tend(self, stop: asyncio.Event, follow: Callable[[], GatewayConfig | None]) -> None:
        """Until `stop`: keep gateway and companion alive, and the gateway up to date."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)
            if self._companion is not None and not stop.is_set():
                self._companion.tend()
            healths = [self._pool.health(plan.model) for plan in self._pool.plans]
            failed = [health for health in healths if health is not None and health.state == "failed"]
            if failed and len(failed) == len(healths):
                raise self._failure(failed[0])
            running = self._gateway
            if running is None or stop.is_set():
                continue
            changed = await asyncio.to_thread(follow)
            if changed is not None:
                self._gateway_config = changed
            if (self._updates.is_set() or changed is not None) and self._gateway_config is not None:
                self._updates.clear()
                with contextlib.suppress(EngineError):  # it ended; the lines below start it with what is new
                    running.update(self._with_engines(self._gateway_config, self._endpoints()))
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

    def _write_server_file(self, url: str) -> None:
        """Leave the address where `freehold served` finds it; only this user may read it."""
        values = {"url": url, "control_url": self._front.base_url, "token": self._control.token}
        served = msgspec.convert({**described(os.getpid(), self._log_dir), **values}, Served)
        self._server_file.touch(mode=0o600)
        self._server_file.chmod(0o600)
        self._server_file.write_bytes(msgspec.json.encode(served))


def _known(models: Sequence[ServedModel], plan: ServePlan) -> tuple[ServedModel, ...]:
    """The models with what a rule of deferral must have been proven for."""
    return tuple(msgspec.structs.replace(one, candidate_id=plan.candidate_id(one.name)) for one in models)


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
