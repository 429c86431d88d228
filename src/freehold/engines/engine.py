"""The contract every engine keeps, and the table of engines.

A new engine is a module here that has `ENGINE`, one line in `ENGINES`, and a row in the contract suite's table
(tests/engines/contract). See docs/adding/an-engine.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from freehold.engines import keys
from freehold.engines.constraints import held
from freehold.errors import UsageError
from freehold.settings import Settings
from freehold.settings import load as load_settings
from freehold.types import record
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan
from freehold.types.engine import EngineKind, EngineName
from freehold.types.record import Record

State = Literal["starting", "ready", "restarting", "failed", "stopped"]


class EngineHealth(Record, frozen=True, kw_only=True):
    """How a running engine is. `last_crash` is why it went down last, in words."""

    state: State
    restarts: int = 0
    last_crash: str | None = None
    process_id: int | None = None


class Presence(Record, frozen=True, kw_only=True):
    """Whether an engine can be used on this machine, and what is known of it, in words."""

    available: bool
    note: str


class RunningEngine(Protocol):
    """An engine that has answered a real request at least once."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it is; stays the same over restarts."""

    def health(self) -> EngineHealth:
        """What is known right now, without asking the engine."""

    async def stop(self) -> None:
        """Stop cleanly; a second call does nothing."""


class ConnectedEngine:
    """A `RunningEngine` that is not a process of this one's; `close` is what there is to do at its end."""

    def __init__(self, endpoint: Endpoint, close: Callable[[], Awaitable[None]] | None = None) -> None:
        self.endpoint = endpoint
        self._close = close
        self._stopped = False

    def health(self) -> EngineHealth:
        return EngineHealth(state="stopped" if self._stopped else "ready")

    async def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            if self._close is not None:
                await self._close()


class Engine(Protocol):
    """A kind of engine."""

    @property
    def kind(self) -> EngineKind:
        """What is true of it whatever it serves; its name is that in plans and in `freehold.toml`."""

    def presence(self, settings: Settings) -> Presence:
        """Whether it can be used here, and what is known of it."""

    def require(self, options: dict[str, Any], settings: Settings) -> None:
        """Raise when it is not here: `MissingExtraError` or `EngineError` with the command that installs it, and
        `UsageError` for an option it does not know. For work that needs the engine only at its end."""

    def check(self, plan: ServePlan, settings: Settings) -> None:
        """Raise what would go wrong, before anything starts.

        `EngineError` (a capability or a file is missing, an adapter of another base, context beyond the
        model), `UsageError` (an option it does not know), `MissingExtraError`, `PortInUseError`.
        """

    async def start(
        self, plan: ServePlan, *, settings: Settings, log_dir: Path, name: str, key_env: str | None
    ) -> RunningEngine:
        """Start and return once a real completion was answered. Raises `EngineError` with the reason.

        A process that is started asks each request for the key that the environment variable `key_env` holds, and its
        endpoint names that variable; None leaves it open. A connection to what others started has its own key, or none.
        """


# One line an engine: where its `ENGINE` lives.
ENGINES: dict[EngineName, str] = {
    "echo": "freehold.engines.echo",
    "encoder": "freehold.engines.encoder.engine",
    "llamacpp": "freehold.engines.llamacpp.engine",
    "ollama": "freehold.engines.ollama",
    "remote": "freehold.engines.remote",
    "vllm": "freehold.engines.vllm.engine",
}


def load(name: str) -> Engine:
    """The engine of that name. Raises `UsageError` for an unknown name."""
    target = ENGINES.get(name)  # type: ignore[call-overload]
    if target is None:
        raise UsageError(f"no engine is called {name!r}", hint=f"engines: {', '.join(ENGINES)}")
    engine: Engine = importlib.import_module(target).ENGINE
    return engine


Options = TypeVar("Options", bound=msgspec.Struct)


def read_options(options: dict[str, Any], kind: type[Options], engine: str) -> Options:
    """Options of an engine (`ServePlan.options`). Raises `UsageError` for an unknown name (with the nearest) or a wrong
    type."""
    return record.read(options, kind, f"engine {engine}", noun="option", error=UsageError)


def endpoint_of(
    plan: ServePlan, name: str, base_url: str, *, key_env: str | None, capabilities: Capabilities
) -> Endpoint:
    """The endpoint of an engine that serves the model and each adapter of a plan under its own name."""
    served = [ServedModel(name=plan.model, upstream_name=plan.model)]
    served += [
        ServedModel(name=mount.name, upstream_name=mount.name, adapter_id=mount.adapter_id)
        for mount in plan.adapters
    ]
    return Endpoint(
        name=name,
        engine=plan.engine,
        base_url=base_url,
        models=tuple(held(one, plan) for one in served),
        capabilities=capabilities,
        api_key_env=key_env,
        context_tokens=plan.context_tokens,
    )


def check(plan: ServePlan, settings: Settings | None = None) -> None:
    """Check a plan against its engine and what it prepares requests with; see `Engine.check`.

    Without `settings`, those of the environment count.
    """
    from freehold.preparing import request

    request.check(plan)
    load(plan.engine).check(plan, settings or load_settings())


class Session:
    """An engine that is not started yet: ``async with`` it, or call `start` and later `stop`."""

    def __init__(
        self, plan: ServePlan, settings: Settings, *, log_dir: Path, name: str, key_env: str | None
    ) -> None:
        self.plan = plan
        self._settings = settings
        self._log_dir = log_dir
        self._name = name
        self._key_env = key_env
        self._running: RunningEngine | None = None

    @property
    def running(self) -> RunningEngine:
        """The engine, once started."""
        assert self._running is not None, "start it first"
        return self._running

    async def start(self) -> Endpoint:
        """Check the plan, start the engine, return its endpoint."""
        check(self.plan, self._settings)
        self._running = await load(self.plan.engine).start(
            self.plan,
            settings=self._settings,
            log_dir=self._log_dir,
            name=self._name,
            key_env=self._key_env,
        )
        return self._running.endpoint

    async def stop(self) -> None:
        """Stop what was started."""
        if self._running is not None:
            await self._running.stop()

    async def __aenter__(self) -> Endpoint:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def start(
    plan: ServePlan,
    *,
    log_dir: Path,
    name: str,
    settings: Settings | None = None,
    key_env: str | None = keys.RUN_KEY_ENV,
) -> Session:
    """An engine for `plan`: ``async with start(...) as endpoint``. Logs go to ``log_dir/name.log``.

    It answers who has the key that the environment variable `key_env` holds: that of this run, which `keys.headers` of
    the endpoint carry. With None it answers everybody on this machine. Without `settings`, those of the environment
    count.
    """
    return Session(plan, settings or load_settings(), log_dir=log_dir, name=name, key_env=key_env)
