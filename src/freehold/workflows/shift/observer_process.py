"""The observer (`freehold.workflows.shift.observer`) as a child process that is kept running."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from freehold.types.record import Record

log = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0
LEASE = "observer"
"""Its holder looks at the rollouts of a store."""


class ObserverConfig(Record, frozen=True, kw_only=True):
    """What an observer looks at. Without a `config_path` there is no file to follow."""

    store_url: str
    config_path: str | None = None
    look_seconds: float = 2.0


class ObserverProcess:
    """The observer as a child process that is started again when it dies."""

    def __init__(self, config: ObserverConfig, log_file: Path) -> None:
        self._data = msgspec.json.encode(config) + b"\n"
        self._log = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self.tend()

    def tend(self) -> None:
        """Start it when it does not run, at most once in `RESTART_PAUSE_S`."""
        if self._process is not None and self._process.poll() is None:
            return
        if time.monotonic() - self._started_at < RESTART_PAUSE_S and self._started_at:
            return
        if self._process is not None:
            log.info("the observer ended with %s, starting it again", self._process.returncode)
        self._close_input()
        self._started_at = time.monotonic()
        with self._log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "freehold.workflows.shift.observer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=sink,
                start_new_session=True,
            )
        log.info("observer started, pid %d, its log is %s", self._process.pid, self._log)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(self._data)
            self._process.stdin.flush()

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
