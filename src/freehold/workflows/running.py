"""Hold an engine and the gateway in front of it until somebody says stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from freehold import engines
from freehold.errors import EngineError
from freehold.gateway import serve as gateway
from freehold.gateway.config import GatewayConfig
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.record import Record
from freehold.workflows.observer_process import Kept, Watching

LOOK_SECONDS = 0.25
RESTART_PAUSE_SECONDS = 1.0
ENDPOINT_NAME = "local"
INCUMBENT = "incumbent"
BREAKER_PAUSE_SECONDS = 0.5
"""How long the gateway leaves an engine alone after failures. Ours is restarted within a second."""


class Running(Record, frozen=True, kw_only=True):
    """What answers now: `url` is the gateway's (or the engine's own, when there is no gateway)."""

    url: str
    endpoint: Endpoint
    logs: str

    @property
    def models(self) -> tuple[str, ...]:
        """The names a client may ask for."""
        return tuple(served.name for served in self.endpoint.models)


async def hold(
    plan: ServePlan,
    front: GatewayConfig | None,
    *,
    log_dir: Path,
    ready: Callable[[Running], None],
    stop: asyncio.Event | None = None,
    watching: Watching | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or `stop`; `ready` is called once, when both answer.

    `front` is the gateway's configuration without the engine's endpoint, which is added; with None the
    engine answers alone. With `watching`, an observer looks at rollouts and at `freehold.toml` meanwhile. Raises what
    starting raises, and `EngineError` when the engine is beyond restarting.
    """
    stop = stop or asyncio.Event()
    if front is not None:
        gateway.check_port(front.host, front.port)
    session = engines.start(plan, log_dir=log_dir, name=ENDPOINT_NAME)
    with _signals(stop):
        if not await _started(session, stop):
            return
        running, observer = None, None
        try:
            endpoint = session.running.endpoint
            url = endpoint.base_url
            if front is not None:
                config = msgspec.structs.replace(
                    front,
                    endpoints=(endpoint, *front.endpoints),
                    default_model=front.default_model or plan.model,
                    breaker_pause_s=BREAKER_PAUSE_SECONDS,
                )
                running = await asyncio.to_thread(gateway.start, config, log=log_dir / "gateway.log")
                url = running.base_url
            if watching is not None:
                observer = Kept(watching, log_dir / "observer.log")
            ready(Running(url=url, endpoint=endpoint, logs=str(log_dir)))
            await _until(stop, session, running, log_dir, observer)
        finally:
            if observer is not None:
                await asyncio.to_thread(observer.stop)
            if running is not None:
                await asyncio.to_thread(running.stop)
            await session.stop()


async def _started(session: engines.Session, stop: asyncio.Event) -> bool:
    """Start the engine; False when somebody said stop while it was loading."""
    starting = asyncio.create_task(session.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return False
    starting.result()
    return True


async def _until(
    stop: asyncio.Event,
    session: engines.Session,
    running: gateway.RunningGateway | None,
    log_dir: Path,
    observer: Kept | None,
) -> None:
    """Wait for `stop`; put a gateway or an observer that died back at its place."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        if observer is not None and not stop.is_set():
            observer.tend()
        health = session.running.health()
        if health.state == "failed":
            raise EngineError(
                f"the engine could not be brought back: {health.last_crash}", hint=f"its log: {log_dir}"
            )
        if running is not None and not running.is_running() and not stop.is_set():
            await asyncio.sleep(RESTART_PAUSE_SECONDS)
            again = await asyncio.to_thread(gateway.start, running.config, log=running.log)
            running.process = again.process


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop` while the block runs."""
    loop = asyncio.get_running_loop()
    taken = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only a main thread on a Unix may take signals; elsewhere the caller has `stop`.
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
