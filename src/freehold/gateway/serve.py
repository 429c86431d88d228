"""Start, renew and stop a gateway: in the foreground, or as a child process that answers when `start` returns.

Processes: a main one that watches over the others, the workers, and one recorder next to the store.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from freehold import files
from freehold.errors import ConfigError, EngineError, PortInUseError
from freehold.gateway.child_process import (
    ChildProcess,
    main_environment,
    recorder_environment,
    worker_environment,
)
from freehold.gateway.config import CONFIG_FILE, RECORDER_SOCKET, GatewayConfig, in_force, to_json
from freehold.gateway.deadlines import leaves_within_s
from freehold.gateway.http.certificate import check_certificate
from freehold.gateway.http.upstreams import address_of
from freehold.gateway.telemetry.log_file import ENVIRONMENT_NAME as LOG_FILE
from freehold.gateway.telemetry.log_file import hangups_held
from freehold.gateway.telemetry.meters import Meters, has_meters, leave_word
from freehold.gateway.telemetry.request_log import check_spans, log_as_json
from freehold.processes import claim_port
from freehold.signing.clouds import check_sources

log = logging.getLogger("freehold.gateway")
_READY_POLL_S = 0.02
_BACKLOG = 4096
# Workers get this long after the drain time to write their last numbers.
_AFTER_DRAIN_S = 8.0
_RECORDER_ENDS_WITHIN_S = 15.0
_UP_WITHIN_S = 30.0
# It puts together and redacts long traces in one piece.
_RECORDER_BUSY_S = 60.0
_RENEW_SIGNAL = signal.SIGUSR2


def run(config: GatewayConfig) -> None:
    """Serve until SIGINT or SIGTERM; streams that are running finish first, for up to `drain_s`.

    SIGUSR2 renews the workers, from what is installed by then: new ones take over the port, the old ones end when their
    streams have and their clients have left them. The recorder stays, so that no trace on its way to it is lost.

    Raises `PortInUseError` when the port is in use, `ConfigError` when a secret's environment
    variable is not set, `StoreError` when the store cannot be opened.
    """
    check(config)
    _serve(config)


def _serve(config: GatewayConfig, *, follow: bool = False) -> None:
    with (
        _signals() as signals,
        new_run_folder() as run_folder,
        _listener(config.host, config.port) as listener,
        contextlib.ExitStack() as children,
    ):
        leave_word(config.spool_in(Path(run_folder)), Path(run_folder))
        if follow:
            folder = (Path(run_folder),)
            threading.Thread(target=_watch_parent, args=folder, name="lifeline", daemon=True).start()
        config_json = to_json(config)
        count = _restart_counter(Path(run_folder))
        if config.store_url is not None:
            recorder = ChildProcess(
                "freehold.gateway.capture.recorder",
                [run_folder],
                config_json,
                environment=recorder_environment(config),
                heartbeat=Path(run_folder),
                busy_s=_RECORDER_BUSY_S,
                on_restart=count,
            )
            children.callback(recorder.stop, _RECORDER_ENDS_WITHIN_S)

        def start_workers() -> list[ChildProcess]:
            return [
                ChildProcess(
                    "freehold.gateway.worker",
                    [run_folder, str(listener.fileno())],
                    config_json,
                    environment=worker_environment(config),
                    files=[listener.fileno()],
                    heartbeat=Path(run_folder),
                    on_restart=count,
                )
                for _ in range(config.workers)
            ]

        def drain_s() -> float:
            return in_force(Path(run_folder), config).drain_s

        workers = start_workers()
        leaving: list[ChildProcess] = []
        while signals.get() == _RENEW_SIGNAL:
            log.info("renewing the workers")
            new = start_workers()
            if not _came_up(new, Path(run_folder)):
                workers, new = new, workers  # the old ones keep serving
            leaving = [worker for worker in leaving if worker.is_running]
            longest_s = leaves_within_s(drain_s()) + _AFTER_DRAIN_S
            for worker in workers:
                threading.Thread(target=worker.leave, args=(longest_s,), daemon=True).start()
            leaving += workers
            workers = new
        log.info("stopping")
        # From here on a connection is refused instead of waiting in vain.
        listener.close()
        workers += leaving
        for worker in workers:
            worker.ask_to_stop()
        deadline = time.monotonic() + drain_s() + _AFTER_DRAIN_S
        for worker in workers:
            worker.stop(max(0.1, deadline - time.monotonic()))


def _restart_counter(run_folder: Path) -> Callable[[str, str], None]:
    """Counts the children that were replaced, where ``/metrics`` finds it."""
    meters, lock = Meters(), threading.Lock()

    def count(module: str, why: str) -> None:
        with lock, contextlib.suppress(OSError):
            meters.count("freehold_restarts", module.rpartition(".")[2], why)
            meters.write(run_folder)

    return count


@contextlib.contextmanager
def _signals() -> Iterator[queue.SimpleQueue[int]]:
    """The signals received: SIGTERM, SIGINT or `_RENEW_SIGNAL`. The former handlers are restored afterwards."""
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT, _RENEW_SIGNAL):
            before[number] = signal.signal(number, lambda number, _: signals.put(number))
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _came_up(workers: Sequence[ChildProcess], run_folder: Path) -> bool:
    """Wait until all have written their first numbers, which they do once they take connections."""
    deadline = time.monotonic() + _UP_WITHIN_S
    while time.monotonic() < deadline:
        if all(has_meters(run_folder, worker.process_id) for worker in workers):
            return True
        time.sleep(0.05)
    log.warning("the new workers did not start; the old ones keep serving")
    return False


def _listener(host: str, port: int) -> socket.socket:
    """The socket all workers accept from: connections that wait in it when one dies are served by the others."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def check(config: GatewayConfig) -> None:
    """Check what can be checked before the start. Raises what `run` raises."""
    if not config.endpoints:
        raise ConfigError("a gateway needs at least one endpoint")
    if config.otel:
        check_spans()
    for endpoint in config.endpoints:
        address_of(endpoint.base_url)
        if endpoint.name in config.without_key or endpoint.api_key_env is None:
            continue
        if not os.environ.get(endpoint.api_key_env):
            raise ConfigError(
                f"endpoint {endpoint.name} takes its key from the environment variable "
                f"{endpoint.api_key_env}, which is not set",
                hint=f"export {endpoint.api_key_env}=…",
            )
    check_sources(config.endpoints)
    if config.tls is not None:
        check_certificate(config.tls)
    if config.store_url is not None:
        from freehold.gateway.capture.ring import check as check_ring

        check_ring(config)
        check_run_folder()
    claim_port(config.host, config.port)


class RunningGateway:
    """A gateway in a child process."""

    def __init__(self, config: GatewayConfig, process: subprocess.Popen[bytes], log: Path | None) -> None:
        self.config = config
        self.process = process
        self.log = log

    @property
    def base_url(self) -> str:
        host = self.config.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, or chosen by the user)
        scheme = "http" if self.config.tls is None else "https"
        return f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{self.config.port}"

    def is_running(self) -> bool:
        return self.process.poll() is None

    def update(self, config: GatewayConfig) -> None:
        """Set what of a configuration can be changed without a restart: workers know within half a second.

        Requests under way stay where they are. Raises `EngineError` when the gateway has ended; one that is started in
        its place has the configuration.
        """
        self.config = config
        data = to_json(config)
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(len(data).to_bytes(8, "big") + data)
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise EngineError("the gateway has ended", hint=f"its log: {self.log}") from None

    def renew(self) -> None:
        """Replace the workers by new ones, from what is installed now; no request is lost."""
        if self.process.poll() is None:
            self.process.send_signal(_RENEW_SIGNAL)

    def stop(self) -> None:
        """Finish running streams, then end; kill the processes that have not ended shortly after the drain time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=self.config.drain_s + 20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def start(
    config: GatewayConfig, *, log: Path | None = None, timeout_s: float = 30.0, again: bool = False
) -> RunningGateway:
    """Start a gateway in a child process and wait until it answers ``/health``.

    `again` starts one in place of one that died, whatever is the matter with the store by now: without its keys it
    answers 503. Its output goes to the file `log`, or nowhere. Raises what `run` raises, and `EngineError` when the
    process ends or does not answer within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    if again:
        _await_port(config, deadline)
    else:
        check(config)
    output = subprocess.DEVNULL if log is None else log.open("ab")
    try:
        with hangups_held():
            process = subprocess.Popen(
                [sys.executable, "-m", "freehold.gateway.serve"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=main_environment(config) | ({} if log is None else {LOG_FILE: str(log.absolute())}),
                start_new_session=True,
            )
    finally:
        if not isinstance(output, int):
            output.close()
    assert process.stdin is not None
    data = to_json(config)
    # The pipe stays open as the child's lifeline: when the parent dies, however it does, the child drains and ends.
    process.stdin.write(len(data).to_bytes(8, "big") + data)
    process.stdin.flush()
    running = RunningGateway(config, process, log)
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EngineError(
                f"the gateway ended while starting (exit code {process.returncode})",
                hint=f"its log: {log}" if log is not None else None,
            )
        if _healthy(running.base_url):
            return running
        time.sleep(_READY_POLL_S)
    running.stop()
    raise EngineError(f"the gateway did not answer within {timeout_s:g} s")


def _await_port(config: GatewayConfig, deadline: float) -> None:
    """The workers of a gateway that died finish their streams before they let the port go."""
    while True:
        try:
            claim_port(config.host, config.port)
            return
        except PortInUseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def started(config: GatewayConfig, *, log: Path | None = None) -> Iterator[RunningGateway]:
    """A gateway in a child process for as long as the block runs."""
    running = start(config, log=log)
    try:
        yield running
    finally:
        running.stop()


def _healthy(base_url: str) -> bool:
    # Late: only the process that starts a gateway needs these, not the gateway's own main process.
    import json
    import ssl
    import urllib.request

    # Asked at the address it listens on, which its certificate need not name: only whether it answers is of interest.
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=anyone)
    )
    try:
        with opener.open(f"{base_url}/health", timeout=1) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except (OSError, ValueError):
        return False


def main() -> None:
    """The child process of `start`: the configuration comes on stdin, which closes when the parent dies."""
    from freehold.gateway.config import from_json

    files.keep_private()
    log_as_json()
    sweep_left_over_folders()
    size = int.from_bytes(sys.stdin.buffer.read(8), "big")
    config = from_json(sys.stdin.buffer.read(size))
    # `start` has checked it; opening the store here would keep the database library in every worker's memory.
    _serve(config, follow=True)


def _watch_parent(run_folder: Path) -> None:
    """Put the configurations the parent sends where workers look for them; SIGTERM this process when stdin closes."""
    received = b""
    # Not through sys.stdin: its lock would be received in this thread when workers are forked, and they close it.
    while more := os.read(0, 65_536):
        received += more
        while len(received) >= 8 and len(received) >= (end := 8 + int.from_bytes(received[:8], "big")):
            files.write(run_folder / CONFIG_FILE, received[8:end])
            received = received[end:]
    os.kill(os.getpid(), signal.SIGTERM)


_PREFIX = "freehold-gateway-"
_LEFT_OVER_S = 7 * 86_400


def new_run_folder() -> tempfile.TemporaryDirectory[str]:
    """One that is removed when its block ends."""
    return tempfile.TemporaryDirectory(prefix=_PREFIX)


def check_run_folder() -> None:
    """Raises `ConfigError` where a recorder could not listen in one: its path has room in a socket's address for about
    a hundred bytes, and not every file system takes sockets."""
    try:
        with new_run_folder() as folder, socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(Path(folder, RECORDER_SOCKET)))
    except OSError as error:
        raise ConfigError(
            f"the gateway cannot make a socket among the temporary files in {tempfile.gettempdir()}: "
            f"{error.strerror or error}",
            hint="export TMPDIR=/tmp, or another folder with a short path on a disk of this machine",
        ) from None


def sweep_left_over_folders() -> None:
    """Remove run folders of gateways that were killed; the socket in them has no listener any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFT_OVER_S:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
