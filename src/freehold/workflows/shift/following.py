"""`freehold.toml` is followed while `freehold up` runs: what of it takes effect now, and what waits for the next start.

Routes are carried over by the observer, which reads ``[watch]`` and ``[task]`` again too; a rollout's terms are fixed
when it begins. The rest of the gateway's configuration is followed here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from freehold.errors import FreeholdError, StorageError
from freehold.gateway.config import TAKEN_OVER, Capture, GatewayConfig, keeps_less, live_change
from freehold.gateway.telemetry.meters import Meters, run_folders
from freehold.signing.source import TITLES
from freehold.store import audit, open_store
from freehold.types.config import ProjectConfig
from freehold.types.endpoint import Endpoint
from freehold.types.route import Route
from freehold.workflows.project import Project, open_project

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
        self._seen = self._arriving = self._state()
        self._told = ""
        self._meters = Meters()

    def poll(self) -> GatewayConfig | None:
        """The configuration to take over now; None where there is nothing new that can be."""
        state = self._state()
        # Twice the same: what an editor is still writing may read well, and be half of what it will say.
        arrived, self._arriving = state == self._arriving, state
        if state is None or state == self._seen or not arrived:
            return None
        try:
            project = open_project(self._path)
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

    def _state(self) -> tuple[int, int] | None:
        try:
            stat = Path(self._path or "").stat() if self._path is not None else None
        except OSError:
            return None  # it is being written again
        return None if stat is None else (stat.st_mtime_ns, stat.st_size)

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
