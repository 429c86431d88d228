"""Child processes of a gateway: given their part of the environment, configured on stdin, restarted when they die, and
killed when they hang.

A process that hangs has not ended, so waiting for its end never notices it. It leaves the time of its last beat in a
mapped file, which costs no system call, and its parent looks at it. Silence alone proves little on a busy machine: a
process counts as hung when it is stopped, or silent while it uses up processor time, or silent for very long. Times are
of the monotonic clock, which all processes of a machine share and no clock step moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from freehold.environment import PROXIES, inherited
from freehold.gateway.config import GatewayConfig, from_json
from freehold.gateway.telemetry.log_file import ENVIRONMENT_NAME as LOG_FILE
from freehold.gateway.telemetry.log_file import hangups_held
from freehold.types.endpoint import CloudCredentials

log = logging.getLogger("freehold.gateway")
LEAVE_SIGNAL = signal.SIGUSR2
"""Tells a worker that others stay: it loses no request."""
_RESTART_AFTER_S = 0.5
BEAT_EVERY_S = 0.5
LOOK_EVERY_S = 0.5
# A stopped process, or one that is busy with one thing, is given this long.
SILENT_S = 2.5
# One that waits for something (a disk that hangs) or does not get a processor is given longer.
WAITING_S = 20.0
_STARTS_WITHIN_S = 60.0
# So much processor time in silence is work, not a late turn.
_BUSY_CPU_S = 1.0
_NANOSECONDS = struct.Struct("=Q")
_RECORDERS = "recorder.pulse"
RECORDER_SILENT_S = 4.0
"""A recorder that has not finished a round for this long is taken to be stopped, stuck or dead."""


def _file(folder: Path, process_id: int) -> Path:
    return folder / f"heartbeat-{process_id}"


class Pulse:
    """The file of one beat."""

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, _NANOSECONDS.size)
            self._map = mmap.mmap(file, _NANOSECONDS.size)
        finally:
            os.close(file)

    def beat(self) -> None:
        _NANOSECONDS.pack_into(self._map, 0, time.monotonic_ns())


def recorders_pulse(folder: Path) -> Pulse:
    """What the recorder beats after each round of its thread."""
    return Pulse(folder / _RECORDERS)


def recorder_silent_s(folder: Path) -> float | None:
    """Seconds since the recorder finished a round; None when it never did."""
    try:
        (beat_ns,) = _NANOSECONDS.unpack((folder / _RECORDERS).read_bytes())
    except (OSError, struct.error):
        return None
    return max(0.0, (time.monotonic_ns() - beat_ns) / 1e9) if beat_ns else None


def recorder_lives(folder: Path) -> bool:
    """Whether the recorder finished a round within `RECORDER_SILENT_S`."""
    silent_s = recorder_silent_s(folder)
    return silent_s is not None and silent_s < RECORDER_SILENT_S


class Heartbeat:
    """In the child: beats as long as the loop turns. Make it in the running loop."""

    def __init__(self, folder: Path) -> None:
        self._pulse = Pulse(_file(folder, os.getpid()))
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self) -> None:
        self._pulse.beat()
        self._loop.call_later(BEAT_EVERY_S, self._beat)


class Watch:
    """In the parent: looks at the beats of one process. `busy_s` is how long it may be busy with one thing."""

    def __init__(self, folder: Path, process_id: int, *, busy_s: float = SILENT_S) -> None:
        self._path = _file(folder, process_id)
        self._process_id = process_id
        self._busy_s = busy_s
        self._map: mmap.mmap | None = None
        self._beat = 0
        self._looked_s = time.monotonic()
        self._silent_s = 0.0
        self._cpu_s: float | None = None

    def look(self) -> str | None:
        """Look once; says why the process counts as hung, None while it does not."""
        now_s = time.monotonic()
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        beat = self._read()
        if beat != self._beat:
            self._beat, self._silent_s, self._cpu_s = beat, 0.0, None
            return None
        # Where the parent itself was late, the machine is busy or was asleep, and the child is not to blame.
        self._silent_s += min(passed_s, 2 * LOOK_EVERY_S)
        if not beat:
            return "never began" if self._silent_s > _STARTS_WITHIN_S else None
        if self._silent_s < LOOK_EVERY_S + BEAT_EVERY_S:
            return None
        return self._judged()

    def _read(self) -> int:
        if self._map is None:
            try:
                with self._path.open("rb") as file:
                    self._map = mmap.mmap(file.fileno(), _NANOSECONDS.size, access=mmap.ACCESS_READ)
            except (OSError, ValueError):
                return 0
        beat: int = _NANOSECONDS.unpack_from(self._map, 0)[0]
        return beat

    def _judged(self) -> str | None:
        # Late: only a silent process has it looked into.
        import psutil

        try:
            process = psutil.Process(self._process_id)
            times = process.cpu_times()
            stopped = process.status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return None
        cpu_s = times.user + times.system
        if self._cpu_s is None:
            self._cpu_s = cpu_s
        if stopped:
            return "stopped" if self._silent_s >= SILENT_S else None
        if cpu_s - self._cpu_s >= _BUSY_CPU_S:
            return "busy" if self._silent_s >= self._busy_s else None
        return "silent" if self._silent_s >= max(WAITING_S, self._busy_s) else None

    def close(self) -> None:
        """Forget the process and its file."""
        if self._map is not None:
            self._map.close()
        self._path.unlink(missing_ok=True)


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
        """Ask it to leave its clients to the others and to end; stop it when it does not in time."""
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


_SOURCES: dict[CloudCredentials, tuple[str, ...]] = {
    "aws": ("AWS_*",),
    "google": ("GOOGLE_*", "CLOUDSDK_*", "GCE_METADATA_*", "NO_GCE_CHECK"),
    "azure": ("AZURE_*", "IDENTITY_*", "IMDS_ENDPOINT", "MSI_*"),
}
"""Where the libraries of clouds look for credentials."""


def worker_environment(config: GatewayConfig) -> dict[str, str]:
    """What a worker is given: the keys of its endpoints, or where the libraries of their clouds look for some; proxies,
    and where spans go. What is not named here stays with who started the gateway."""
    clouds = {endpoint.credentials for endpoint in config.endpoints} - {None}
    sources = [name for cloud in clouds for name in _SOURCES[cloud or "aws"]]
    keys = [endpoint.api_key_env for endpoint in config.endpoints if endpoint.api_key_env is not None]
    spans = ("OTEL_*",) if config.otel else ()
    return inherited(os.environ, also=(LOG_FILE, *PROXIES, *keys, *spans, *sources))


def recorder_environment(config: GatewayConfig) -> dict[str, str]:
    """What the recorder is given, which has no keys: for a PostgreSQL store what its library looks for, since a
    password may stand there instead of in the address."""
    database = ("PG*",) if (config.store_url or "").startswith("postgres") else ()
    return inherited(os.environ, also=(LOG_FILE, *database))


def main_environment(config: GatewayConfig) -> dict[str, str]:
    """What the main process is given: what its workers and its recorder will need when they are started again."""
    return {**recorder_environment(config), **worker_environment(config)}
