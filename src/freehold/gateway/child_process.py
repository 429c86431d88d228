"""Child processes of a gateway: configured on stdin, restarted when they die, and killed when they hang."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from freehold.gateway.config import GatewayConfig, from_json
from freehold.gateway.heartbeat import LOOK_EVERY_S, SILENT_S, Watch
from freehold.gateway.telemetry.log_file import hangups_held

log = logging.getLogger("freehold.gateway")
LEAVE_SIGNAL = signal.SIGUSR2
"""Tells a worker that others stay and take its connections."""
_RESTART_AFTER_S = 0.5


class ChildProcess:
    """One child process, which runs for as long as this object is not stopped.

    `config` is what it reads first on stdin; the pipe then stays open as its lifeline. `environment` is all it is given
    of one. With a `heartbeat` folder it is
    killed and restarted when its loop stops turning; `busy_s` is how long it may be busy with one thing. `on_restart`
    is told the module and why.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        config: bytes,
        *,
        environment: Mapping[str, str],
        files: Sequence[int] = (),
        heartbeat: Path | None = None,
        busy_s: float = SILENT_S,
        on_restart: Callable[[str, str], None] = lambda module, why: None,
    ) -> None:
        self._module = module
        self._command = [sys.executable, "-m", module, *arguments]
        self._config = config
        self._environment = dict(environment)
        self._files = tuple(files)
        self._busy_s = busy_s
        self._on_restart = on_restart
        self._hung: str | None = None
        self._stopping = threading.Event()
        self._start()
        self._watcher = threading.Thread(target=self._watch, name=f"watch {module}", daemon=True)
        self._watcher.start()
        if heartbeat is not None:
            name = f"heartbeat {module}"
            threading.Thread(target=self._watch_heartbeat, args=(heartbeat,), name=name, daemon=True).start()

    def _start(self) -> None:
        with hangups_held():
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=self._environment,
                pass_fds=self._files,
                # Ctrl-C reaches the parent only, which then stops its children.
                start_new_session=True,
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(len(self._config).to_bytes(8, "big") + self._config)
            process.stdin.flush()
        self._process = process
        log.info("started %s, process %d", self._module, process.pid)

    def _watch(self) -> None:
        while True:
            code = self._process.wait()
            hung, self._hung = self._hung, None
            # One that died may die again at once; one that hung has kept its clients waiting long enough.
            if self._stopping.wait(0 if hung else _RESTART_AFTER_S):
                return
            log.info("%s ended with exit code %d and is restarted", self._module, code)
            _close_stdin(self._process)
            self._start()
            self._on_restart(self._module, hung or "ended")

    def _watch_heartbeat(self, folder: Path) -> None:
        """Kill the process whenever it hangs; the other thread then restarts it."""
        process = self._process
        watch = Watch(folder, process.pid, busy_s=self._busy_s)
        while not self._stopping.wait(LOOK_EVERY_S):
            if process is not self._process:
                watch.close()
                process = self._process
                watch = Watch(folder, process.pid, busy_s=self._busy_s)
            why = watch.look()
            if why is not None and self._hung is None and process.poll() is None:
                log.warning("%s, process %d, hangs (%s) and is killed", self._module, process.pid, why)
                self._hung = why
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        watch.close()

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def ask_to_stop(self) -> None:
        """Ask it to end, and do not restart it."""
        self._stopping.set()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def leave(self, within_s: float) -> None:
        """Ask it to leave its connections to the others and to end; stop it when it does not in time."""
        self._stopping.set()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(LEAVE_SIGNAL)
        # Its stdin stays open: its end would say that no other worker is there any more.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=within_s)
        self.stop(1.0)

    def stop(self, within_s: float) -> None:
        """Close its stdin and wait; kill it when it does not end in time."""
        self._stopping.set()
        process = self._process
        _close_stdin(process)
        try:
            process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            log.info("%s did not end within %g s and is killed", self._module, within_s)
            process.kill()
        self._watcher.join(timeout=1)


def _close_stdin(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def read_config() -> GatewayConfig:
    """In the child: the configuration the parent sent. Ends the process when the parent is gone already."""
    return from_json(_read_exactly(int.from_bytes(_read_exactly(8), "big")))


def freeze_heap() -> None:
    """Exempt what is loaded by now from garbage collection, and collect rarely: little of what follows is cyclic."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def run_on_fast_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, on uvloop where there is one."""
    # Here, because the main process keeps children and has no loop.
    import asyncio

    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def _read_exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            raise SystemExit(0)
        data += part
    return data
