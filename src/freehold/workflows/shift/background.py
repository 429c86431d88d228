"""Leave `freehold up` running after the command that started it has ended, find it again, and stop it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil

from freehold.errors import EngineError, PortInUseError, UsageError
from freehold.types.progress import Progress
from freehold.types.record import Record
from freehold.workflows.project import Project
from freehold.workflows.serve.names import ENDPOINT_NAME

log = logging.getLogger(__name__)

READY_SECONDS = 120.0
STOP_SECONDS = 20.0

_detached: list[subprocess.Popen[bytes]] = []
"""Handles of what this process left running: they outlive it on purpose, so none may be garbage-collected."""


class Background(Record, frozen=True, kw_only=True):
    """A detached `freehold up`. `started` (seconds since 1970) tells it from a later process of the same pid."""

    pid: int
    started: float
    url: str
    log: str
    root: str = ""
    """The folder of its project: a copy of the state folder elsewhere is not its owner."""


def _file(project: Project) -> Path:
    return project.state / "up.json"


def running(project: Project) -> Background | None:
    """The detached gateway of this project, if one lives."""
    try:
        gateway = msgspec.json.decode(_file(project).read_bytes(), type=Background)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    if gateway.root != str(project.root.resolve()):
        return None
    try:
        alive = abs(psutil.Process(gateway.pid).create_time() - gateway.started) < 1.0
    except psutil.NoSuchProcess:
        alive = False
    return gateway if alive else None


def start(project: Project, *, progress: Progress, port: int | None = None) -> Background:
    """Start `freehold up` for this project in a process of its own and wait until it answers.

    One that runs already is stopped first. Raises `PortInUseError`, or `EngineError` with the last lines of its
    log when it does not come up.
    """
    if (old := running(project)) is not None:
        stop(project, old)
    host = project.settings.host
    port = port or project.config.serve.port or _free_port(host, project.settings.port)
    log_file = project.state / "engines" / "up.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "freehold", "up", "--port", str(port)]
    if project.config_path is not None:
        command += ["--config", str(project.config_path.absolute())]
    with log_file.open("ab") as sink:
        process = subprocess.Popen(
            command,
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    _detached.append(process)
    log.info("freehold up started in the background, pid %d, its log is %s", process.pid, log_file)
    over_tls = project.config.serve.tls_cert is not None
    url = f"{'https' if over_tls else 'http'}://{host}:{port}"
    began = time.monotonic()
    while not _ready(host, port, over_tls=over_tls):
        if process.poll() is not None:
            raise EngineError(
                f"the gateway stopped while starting (exit code {process.returncode})",
                hint=f"{_last_line(log_file)} (log: {log_file})",
            )
        if time.monotonic() - began > READY_SECONDS:
            process.terminate()
            raise EngineError(
                f"the gateway was not ready after {READY_SECONDS:.0f} s", hint=f"see {log_file}"
            )
        progress.update(time.monotonic() - began, None, unit="s", note="starting the endpoint")
        time.sleep(0.2)
    background = Background(
        pid=process.pid,
        started=psutil.Process(process.pid).create_time(),
        url=url,
        log=str(log_file),
        root=str(project.root.resolve()),
    )
    _file(project).write_bytes(msgspec.json.encode(background))
    return background


def stop(project: Project, gateway: Background | None = None) -> Background:
    """Stop the detached gateway; its streams get time to finish. Raises `UsageError` when none runs."""
    gateway = gateway or running(project)
    if gateway is None:
        raise UsageError("nothing runs in the background here", hint="freehold up starts it")
    process = psutil.Process(gateway.pid)
    os.kill(gateway.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        log.info("pid %d did not end within %.0f s, killing it", gateway.pid, STOP_SECONDS)
        for child in process.children(recursive=True):
            child.kill()
        process.kill()
    for handle in _detached:
        handle.poll()
    _file(project).unlink(missing_ok=True)
    log.info("%s stopped, pid %d", gateway.url, gateway.pid)
    return gateway


def _free_port(host: str, first: int) -> int:
    """The first free port of the twenty from `first` on."""
    for port in range(first, first + 20):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                log.info("port %d is taken, trying the next", port)
                continue
            return port
    raise PortInUseError(host, first)


def _ready(host: str, port: int, *, over_tls: bool) -> bool:
    import http.client
    import ssl

    connection = http.client.HTTPConnection(host, port, timeout=2)
    if over_tls:
        # Its certificate names the public host, not this address; nothing is sent that needs protection.
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=2, context=anyone)
    try:
        connection.request("GET", "/ready")
        told = msgspec.json.decode(connection.getresponse().read())
        # An incumbent that cannot be asked now does not keep the model of this machine from serving. Where keys are
        # asked for, endpoints are not told; the gateway is started when that model is loaded.
        return bool(
            "endpoints" not in told or told["endpoints"].get(ENDPOINT_NAME) or told["status"] == "ready"
        )
    except (OSError, msgspec.DecodeError, KeyError, TypeError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
