"""The one table of settings: name, default, help. Help texts and docs/reference/settings.md are made from it.

A setting is about this machine or this run (`FREEHOLD_…` environment variables). What describes the user's
project belongs into `freehold.toml` (see `freehold.types.config`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from freehold.errors import ConfigError, did_you_mean


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: `name` is the attribute of `Settings`, the variable is `FREEHOLD_<NAME>`."""

    name: str
    type: type
    default: Any
    help: str

    @property
    def variable(self) -> str:
        return f"FREEHOLD_{self.name.upper()}"


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "home",
        Path,
        None,
        "Folder for what projects share: weights, engines, looks taken. Default: the user's cache folder; for looks "
        "the one for state.",
    ),
    Setting("state", Path, None, "Folder for a project's state. Default: .freehold next to freehold.toml."),
    Setting(
        "trust",
        str,
        None,
        "The hash that freehold trust shows: it agrees to what freehold.toml runs, reads and calls, where there is no "
        "terminal to ask on. Several with commas between.",
    ),
    Setting("database_url", str, None, "SQLAlchemy URL of the store. Default: SQLite in the state folder."),
    Setting("host", str, "127.0.0.1", "Address the gateway binds. Loopback unless you say otherwise."),
    Setting("port", int, 8420, "Port the gateway binds."),
    Setting(
        "capture_queue",
        int,
        10_000,
        "Traces waiting to be written; when full, traces are dropped and counted.",
    ),
    Setting(
        "body_memory_mib",
        int,
        192,
        "Most MiB a gateway's worker holds of requests and answers at once; beyond it new ones are told to come back.",
    ),
    Setting(
        "threads", int, None, "CPU threads for engines and training. Default: the cores this process may use."
    ),
    Setting(
        "log_requests", bool, False, "Write a line of JSON for each request to the gateway's log; no content."
    ),
    Setting(
        "otel",
        bool,
        False,
        "Send a span for each request to OpenTelemetry (extra otel; OTEL_EXPORTER_OTLP_ENDPOINT); no content.",
    ),
    Setting(
        "log",
        str,
        None,
        "What freehold logs to stderr: a level (debug, info, warning, error), or NAME=LEVEL with commas between, where "
        "NAME is a logger as the lines show it. -v and -vv add info and debug. Default: warnings.",
    ),
    Setting("offline", bool, False, "Never reach for a hub or a package index; use what is already here."),
)


def default_home() -> Path:
    """The folder that projects share, following the platform's convention for caches."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("freehold", appauthor=False))


@dataclass(frozen=True, slots=True)
class Settings:
    """Values of all settings for one run; make them with `load`."""

    home: Path
    state: Path | None
    trust: str | None
    database_url: str | None
    host: str
    port: int
    capture_queue: int
    body_memory_mib: int
    threads: int | None
    log_requests: bool
    otel: bool
    log: str | None
    offline: bool


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read settings from the environment.

    Raises `ConfigError` for a value of the wrong type and for an unknown `FREEHOLD_…` variable, so that a
    misspelt one is noticed (`FREEHOLD_TEST_…` and `FREEHOLD_VECTORS` belong to the test suite).
    """
    environment = os.environ if environment is None else environment
    known = {setting.variable: setting for setting in SETTINGS}
    for variable in environment:
        if (
            variable.startswith("FREEHOLD_")
            and variable not in known
            and not variable.startswith(("FREEHOLD_TEST_", "FREEHOLD_VECTORS"))
        ):
            raise ConfigError(
                f"unknown setting {variable} in the environment",
                hint=did_you_mean(variable, known, "freehold settings lists them all"),
            )
    values = {
        setting.name: _parse(setting, environment[setting.variable])
        if environment.get(setting.variable)
        else setting.default
        for setting in SETTINGS
    }
    if values["home"] is None:
        values["home"] = default_home()
    return Settings(**values)


def _parse(setting: Setting, text: str) -> Any:
    if setting.type is bool:
        if text.lower() in {"1", "true", "yes", "on"}:
            return True
        if text.lower() in {"0", "false", "no", "off"}:
            return False
        raise ConfigError(f"{setting.variable} is {text!r}, expected true or false")
    try:
        value = setting.type(text)
    except ValueError:
        wanted = (
            "a whole number"
            if setting.type is int
            else "a number"
            if setting.type is float
            else setting.type.__name__
        )
        raise ConfigError(f"{setting.variable} is {text!r}, expected {wanted}") from None
    return value.expanduser() if isinstance(value, Path) else value


assert [setting.name for setting in SETTINGS] == [field.name for field in fields(Settings)]
