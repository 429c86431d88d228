"""Leave `freehold up` running after the command that started it has ended, find it again, and stop it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil

from freehold import files
from freehold.engines.supervisor import claim_port
from freehold.errors import EngineError, PortInUseError, UsageError
from freehold.gateway.telemetry.log_file import ENVIRONMENT_NAME as LOG_FILE
from freehold.gateway.telemetry.log_file import hangups_held
from freehold.processes import RunningProcess, described, is_alive, standing
from freehold.progress import Progress
from freehold.types.endpoint import ENDPOINT_NAME
from freehold.types.record import Record
from freehold.workflows.project import Project

log = logging.getLogger(__name__)

READY_SECONDS = 120.0
STOP_SECONDS = 20.0

_detached: list[subprocess.Popen[bytes]] = []
"""Handles of what this process left running: they outlive it on purpose, so none may be garbage-collected."""


class Background(RunningProcess, frozen=True, kw_only=True):
    """A detached `freehold up`, as the project's state folder remembers it."""

    url: str
    log: str


def _file(project: Project) -> Path:
    return project.state / "up.json"


def running(project: Project) -> Background | None:
    """The detached gateway of this project, if one lives. That of the project this one is a copy of is not."""
    gateway = _remembered(project)
    return gateway if gateway is not None and is_alive(gateway, project.state) else None


def _remembered(project: Project) -> Background | None:
    try:
        return msgspec.json.decode(_file(project).read_bytes(), type=Background)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


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
    command += [f"--set={change}" for change in project.changes]
    with log_file.open("ab") as sink, hangups_held():
        process = subprocess.Popen(
            command,
            cwd=project.root,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={**os.environ, LOG_FILE: str(log_file.absolute())},
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
    values = {**described(process.pid, project.state), "url": url, "log": str(log_file)}
    background = msgspec.convert(values, Background)
    files.write(_file(project), msgspec.json.encode(background))
    return background


def stop(project: Project, gateway: Background | None = None) -> Background:
    """Stop the detached gateway; its streams get time to finish.

    Raises `UsageError` when none runs, or when the one remembered is another folder's or another machine's.
    """
    gateway = gateway or running(project)
    if gateway is None:
        raise _nothing_to_stop(project)
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


def _nothing_to_stop(project: Project) -> UsageError:
    """Why nothing can be stopped from here."""
    gateway = _remembered(project)
    where = None if gateway is None else standing(gateway, project.state)
    if gateway is not None and where == "copied":
        return UsageError(
            f"nothing runs in the background here: {gateway.url} belongs to {gateway.folder}, "
            "which this project was copied from",
            hint="freehold down in that project stops it; freehold up starts one here",
        )
    if gateway is not None and where == "elsewhere":
        return UsageError(
            f"{gateway.url} was started on {gateway.host}, or before this machine was started again",
            hint=f"freehold down on {gateway.host} stops it; freehold up starts one here",
        )
    return UsageError("nothing runs in the background here", hint="freehold up starts it")


def _free_port(host: str, first: int) -> int:
    """The first free port of the twenty from `first` on."""
    for port in range(first, first + 20):
        try:
            return claim_port(host, port)
        except PortInUseError:
            log.info("port %d is taken, trying the next", port)
    raise PortInUseError(host, first)


class _Ready(Record, frozen=True, kw_only=True):
    """What ``/ready`` answers."""

    status: str
    endpoints: dict[str, bool] | None = None
    """Not told to those without a key, where keys are asked for."""


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
        answer = msgspec.json.decode(connection.getresponse().read(), type=_Ready)
        # An incumbent that cannot be asked now does not keep the model of this machine from serving.
        if answer.status == "ready":
            return True
        # The gateway is started when that model is loaded, so that it answers at all tells enough.
        return answer.endpoints is None or answer.endpoints.get(ENDPOINT_NAME, False)
    except (OSError, msgspec.MsgspecError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
