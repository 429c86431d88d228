"""`freehold.toml` is followed while `freehold up` runs: what of it takes effect now, and what waits for the next start;
and the observer (`freehold.workflows.shift.observer`) as a child process that is kept running.

Routes are carried over by the observer, which reads ``[watch]`` and ``[task]`` again too; a rollout's terms are fixed
when it begins. The rest of the gateway's configuration is followed here. The observer is given the part of the
environment that its work needs, which `freehold.toml` says: where alarms go, the keys of endpoints that a scorer asks.
So it is started again when another part is needed; everything it learns is in the store.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from freehold.environment import PROXIES, inherited
from freehold.errors import ConfigError, FreeholdError, StorageError
from freehold.gateway.config import TAKEN_OVER, Capture, GatewayConfig, keeps_less, live_change
from freehold.gateway.telemetry.log_file import ENVIRONMENT_NAME as LOG_FILE
from freehold.gateway.telemetry.log_file import hangups_held
from freehold.gateway.telemetry.meters import Meters, run_folders
from freehold.signing.clouds import TITLES
from freehold.store import audit, open_store
from freehold.types.config import ProjectConfig
from freehold.types.endpoint import Endpoint
from freehold.types.record import Record
from freehold.types.route import Route
from freehold.workflows.project import Project, file_state, open_project

KEYS = {
    "endpoints": "[incumbent] and [[endpoints]]",
    "others_to": "[incumbent] others",
    "hosts": "[serve] hosts",
    "port": "[serve] port",
    "tls": "[serve] tls_cert, tls_key",
    "capture": "[capture] mode",
    "capture_opt_out": "[capture] opt_out",
    "prices": "price of [incumbent] and [[endpoints]]",
    "retention_days": "[capture] retention_days",
    "retention_bytes": "[capture] retention_mib",
    "drain_s": "[serve] drain_s",
}
"""What people call the gateway's fields."""
_UNSAID = frozenset(("without_key", "default_model", "attributions"))
_SERVE_FOLLOWED = ("hosts", "port", "tls_cert", "tls_key", "drain_s")
"""Keys of `[serve]`, which is read at a start, that are among `KEYS`."""


OVERRULED = {
    "[capture] mode": (("capture", "mode"),),
    "[serve] port": (("serve", "port"),),
    "[serve] tls_cert, tls_key": (("serve", "tls_cert"), ("serve", "tls_key")),
}
"""Keys that an option of `freehold up` overrules, each with its tables and fields."""


def waits_for_start(table: str, key: str) -> bool:
    """Whether a running gateway takes a key only at its next start."""
    return table == "serve" and key not in TAKEN_OVER


class ConfigFollower:
    """Looks at a project's file; `poll` gives the configuration that the gateway is to take over, once it changes.

    `build` makes a gateway's configuration of a project, as the start did, with the `options` of the command line: keys
    of `OVERRULED`, each with the option that stands for it. `held` are the variables of endpoints' keys
    that the gateway's processes were given. What happens is told by `say`, and what is taken over goes on the audit
    record.
    """

    def __init__(
        self,
        project: Project,
        running: GatewayConfig,
        *,
        build: Callable[[Project], GatewayConfig],
        options: Mapping[str, str] = {},
        say: Callable[[str], None],
    ) -> None:
        self._project = project
        self._path = project.config_path
        self._config = project.config
        self._running = running
        self._build = build
        self._options = options
        self._say = say
        self._kept_least: Capture | None = keeps_less(None, running.capture)
        self._held = {one.api_key_env for one in running.endpoints}
        self._held_clouds = {one.credentials for one in running.endpoints}
        self._seen = self._arriving = file_state(self._path)
        self._told = ""
        self._meters = Meters()

    def poll(self) -> GatewayConfig | None:
        """The configuration to take over now; None where there is nothing new that can be."""
        state = file_state(self._path)
        # Twice the same: what an editor is still writing may read well, and be half of what it will say.
        arrived, self._arriving = state == self._arriving, state
        if state is None or state == self._seen or not arrived:
            return None
        try:
            project = open_project(self._path, changes=self._project.changes)
            wanted = self._build(project)
            with open_store(self._project.store_url) as store:
                routes = store.routes()
            wanted = self._with_named(wanted, routes)
        except FreeholdError as error:
            if not isinstance(error, StorageError):  # a store that is busy is asked again
                self._seen = state
                self._count("refused")
            self._tell(f"{self._name}: {error.message}; what ran before goes on")
            return None
        self._seen = state
        change = live_change(self._running, wanted, kept_least=self._kept_least)
        waits = [KEYS.get(field, field) for field in change.waiting] + self._at_start(project.config)
        waits += self._without_key(change.config)
        taken = [KEYS[field] for field in change.taken if field not in _UNSAID]
        self._tell_change(taken, waits, self._overruled(project.config))
        self._count("waits" if waits else "in_force")
        if not change.taken:
            return None
        self._running = change.config
        self._kept_least = keeps_less(self._kept_least, change.config.capture)
        self._note(change.taken)
        return change.config

    def _count(self, result: str) -> None:
        """Where the gateway's metrics are told from: in its run folder."""
        self._meters.stated["freehold_config_stale"] = float(result != "in_force")
        self._meters.count("freehold_config_reloads", result)
        for folder in run_folders(self._project.state.resolve() / "spool"):
            with contextlib.suppress(OSError):
                self._meters.write(folder)

    @property
    def _name(self) -> str:
        return "freehold.toml" if self._path is None else self._path.name

    def _with_named(self, wanted: GatewayConfig, routes: list[Route]) -> GatewayConfig:
        """With the endpoints that routes in force still go to: without them their requests would have nowhere to go."""
        known = {one.name for one in wanted.endpoints}
        named: dict[str, Route] = {}
        for route in routes:
            for target in (route.incumbent, route.candidate, *route.fallback):
                if target is not None and target.endpoint not in known:
                    named.setdefault(target.endpoint, route)
        stay: list[Endpoint] = [one for one in self._running.endpoints if one.name in named]
        for one in stay:
            self._say(
                f"{self._name}: the endpoint {one.name} stays, the route {named[one.name].name} goes to it"
            )
        return msgspec.structs.replace(wanted, endpoints=(*wanted.endpoints, *stay))

    def _without_key(self, config: GatewayConfig) -> list[str]:
        """Processes are given variables when they start."""
        missing = {one.api_key_env for one in config.endpoints} - self._held - {None}
        clouds = {one.credentials for one in config.endpoints} - self._held_clouds
        return [
            *(f"the key in {name}" for name in sorted(name for name in missing if name is not None)),
            *(
                f"credentials of {TITLES[cloud]}"
                for cloud in sorted(cloud for cloud in clouds if cloud is not None)
            ),
        ]

    def _at_start(self, config: ProjectConfig) -> list[str]:
        """Keys of `[serve]` that were changed, those of `KEYS` left aside."""
        before, after = self._config.serve, config.serve
        return [
            f"[serve] {field}"
            for field in after.__struct_fields__
            if field not in _SERVE_FOLLOWED and getattr(before, field) != getattr(after, field)
        ]

    def _overruled(self, config: ProjectConfig) -> list[str]:
        """Keys that were changed in vain: the command line said otherwise."""
        return [
            f"{key} (by {option})"
            for key, option in self._options.items()
            if any(
                getattr(getattr(config, table), field) != getattr(getattr(self._config, table), field)
                for table, field in OVERRULED[key]
            )
        ]

    def _tell_change(self, taken: list[str], waits: list[str], overruled: list[str]) -> None:
        parts = []
        if taken:
            parts.append(f"in force: {', '.join(taken)}")
        if waits:
            parts.append(f"AT THE NEXT START ONLY: {', '.join(waits)}")
        if overruled:
            parts.append(f"OVERRULED BY THE COMMAND LINE: {', '.join(overruled)}")
        if parts:
            self._tell(f"{self._name} was changed; {'; '.join(parts)}")

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._say(text)

    def _note(self, taken: tuple[str, ...]) -> None:
        running: Any = self._running
        detail: dict[str, Any] = {
            field: getattr(running, field)
            for field in ("capture", "capture_opt_out", "retention_days", "retention_bytes", "hosts")
            if field in taken
        }
        detail["endpoints"] = [one.name for one in running.endpoints]
        try:
            with open_store(self._project.store_url) as store:
                audit.note(store.database, "gateway.config", "gateway", detail=detail)
        except FreeholdError as error:
            self._say(f"the change is not on the audit record: {error.message}")


log = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0
LEASE = "observer"
"""Its holder looks at the rollouts of a store."""


class ObserverConfig(Record, frozen=True, kw_only=True):
    """What an observer looks at. Without a `config_path` there is no file to follow."""

    store_url: str
    config_path: str | None = None
    changes: tuple[str, ...] = ()
    """What this run's command line says otherwise than the file."""
    spool_folder: str | None = None
    """Where the gateways of the project on this machine leave word of where their numbers are."""


def environment_of(store_url: str, config: ProjectConfig) -> dict[str, str]:
    """What an observer of this project is given."""
    database = ("PG*",) if store_url.startswith("postgres") else ()
    return inherited(os.environ, also=(*named_variables(config), *PROXIES, *database))


def named_variables(config: ProjectConfig) -> tuple[str, ...]:
    """The variables that the file names for an observer: keys of judges, and where alarms go."""
    webhook = config.watch.webhook_env
    return (*_named(config.task.options), *(() if webhook is None else (webhook,)))


def _named(value: Any) -> Iterator[str]:
    """The variables that a scorer's options name, at any depth: a jury has several judges."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and key.endswith("_env"):
                yield inner
            else:
                yield from _named(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _named(inner)


class ObserverProcess:
    """The observer as a child process that is started again when it dies."""

    def __init__(self, config: ObserverConfig, log_file: Path) -> None:
        self._config = config
        self._file_state: tuple[int, int] | None = None
        self._environment = inherited(os.environ)
        self._data = msgspec.json.encode(config) + b"\n"
        self._log = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self.tend()

    def tend(self) -> None:
        """Start it when it does not run or needs another environment, at most once in `RESTART_PAUSE_S`."""
        changed = self._environment_changed()
        if self._process is not None and self._process.poll() is None:
            if changed:
                log.info("freehold.toml names other variables, starting the observer again")
                self._close_input()  # it ends by itself when its look is over
            return
        if time.monotonic() - self._started_at < RESTART_PAUSE_S and self._started_at:
            return
        if self._process is not None:
            log.info("the observer ended with %s, starting it again", self._process.returncode)
        self._close_input()
        self._started_at = time.monotonic()
        with self._log.open("ab") as sink, hangups_held():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "freehold.workflows.shift.observer"],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                env={**self._environment, LOG_FILE: str(self._log.absolute())},
                start_new_session=True,
            )
        log.info("observer started, pid %d, its log is %s", self._process.pid, self._log)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(self._data)
            self._process.stdin.flush()

    def _environment_changed(self) -> bool:
        """Whether the file, if it was written since the last look, asks for another environment."""
        path = self._config.config_path
        state = file_state(path)
        if path is None or state is None or state == self._file_state:
            return False
        try:
            config = open_project(Path(path), changes=self._config.changes).config
        except ConfigError:
            return False  # the observer says so
        self._file_state = state
        before, self._environment = self._environment, environment_of(self._config.store_url, config)
        return before != self._environment

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def stop(self, timeout_s: float = 10.0) -> None:
        """End it; a look that is under way is finished first."""
        self._close_input()
        if self._process is not None:
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                log.info("the observer did not end within %.0f s, killing it", timeout_s)
                self._process.kill()
                self._process.wait()
            log.info("observer stopped")

    def _close_input(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
