"""The observer (`freehold.workflows.shift.observer`) as a child process that is kept running.

It is given the part of the environment that its work needs, which `freehold.toml` says: where alarms go, the keys of
endpoints that a scorer asks. So it is started again when another part is needed; everything it learns is in the store.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from freehold.environment import PROXIES, inherited
from freehold.errors import ConfigError
from freehold.gateway.telemetry.log_file import ENVIRONMENT_NAME as LOG_FILE
from freehold.gateway.telemetry.log_file import hangups_held
from freehold.types.config import ProjectConfig
from freehold.types.record import Record
from freehold.workflows.project import open_project

log = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0
LEASE = "observer"
"""Its holder looks at the rollouts of a store."""


class ObserverConfig(Record, frozen=True, kw_only=True):
    """What an observer looks at. Without a `config_path` there is no file to follow."""

    store_url: str
    config_path: str | None = None
    look_seconds: float = 2.0
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
        path = Path(self._config.config_path) if self._config.config_path is not None else None
        try:
            state = None if path is None else (path.stat().st_mtime_ns, path.stat().st_size)
        except OSError:
            return False  # it is being written again
        if path is None or state == self._file_state:
            return False
        try:
            config = open_project(path).config
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
