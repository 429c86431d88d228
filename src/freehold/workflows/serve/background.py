"""The gateways of a project that run: each leaves a file that names it. `freehold up` left running after the command
that started it has ended, found again, and stopped."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil

from freehold.errors import EngineError, PortInUseError, UsageError
from freehold.gateway.telemetry.log_file import ENVIRONMENT_NAME as LOG_FILE
from freehold.gateway.telemetry.log_file import hangups_held
from freehold.processes import RunningProcess, claim_port, described, is_alive, standing
from freehold.progress import Progress
from freehold.workflows.project import Project

log = logging.getLogger(__name__)

READY_SECONDS = 120.0
STOP_SECONDS = 20.0

_detached: list[subprocess.Popen[bytes]] = []
"""Handles of what this process left running: they outlive it on purpose, so none may be garbage-collected."""


class Served(RunningProcess, frozen=True, kw_only=True):
    """A gateway that runs. `log` is the file that one in the background writes; one in a terminal has none."""

    url: str
    log: str | None = None


def server_file(folder: Path, port: int) -> Path:
    """Where the server of a port says that it is there."""
    return folder / f"serving-{port}.json"


def leave_word(file: Path, url: str) -> None:
    """Say in a file that only this user may read that this process serves there."""
    told = {**described(os.getpid(), file.parent), "url": url, "log": os.environ.get(LOG_FILE)}
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_bytes(msgspec.json.encode(msgspec.convert(told, Served)))


def servers_told(folder: Path) -> list[Served]:
    """What the files say, also of servers that have ended or belong to another folder."""
    servers = []
    for file in sorted(folder.glob("serving-*.json")):
        try:
            servers.append(msgspec.json.decode(file.read_bytes(), type=Served))
        except (OSError, msgspec.MsgspecError):
            continue
    return servers


def live_servers(folder: Path) -> list[Served]:
    """The servers of a project that live, those of this process included; not those of a project it is a copy of."""
    return [server for server in servers_told(folder) if is_alive(server, folder)]


def _folder(project: Project) -> Path:
    return project.state / "engines"


def running(project: Project) -> Served | None:
    """The detached gateway of this project, if one lives."""
    return next((server for server in live_servers(_folder(project)) if server.log is not None), None)


def start(project: Project, *, progress: Progress, port: int | None = None) -> Served:
    """Start `freehold up` for this project in a process of its own and wait until it answers.

    One that runs already is stopped first. Raises `PortInUseError`, or `EngineError` with the last lines of its
    log when it does not come up.
    """
    if (old := running(project)) is not None:
        stop(project, old)
    port = port or project.config.serve.port or _free_port(project.settings.host, project.settings.port)
    folder = _folder(project)
    log_file = folder / "up.log"
    folder.mkdir(parents=True, exist_ok=True)
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
    began = time.monotonic()
    while True:
        for server in live_servers(folder):
            if server.pid == process.pid:
                return server
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


def stop(project: Project, gateway: Served | None = None) -> Served:
    """Stop the detached gateway; its streams get time to finish.

    Raises `UsageError` when none runs, or when the one remembered is another folder's or another machine's.
    """
    gateway = gateway or running(project)
    if gateway is None:
        raise _nothing_to_stop(_folder(project))
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
    server_file(_folder(project), urlsplit(gateway.url).port or 0).unlink(missing_ok=True)
    log.info("%s stopped, pid %d", gateway.url, gateway.pid)
    return gateway


def _nothing_to_stop(folder: Path) -> UsageError:
    """Why nothing can be stopped from here."""
    for gateway in servers_told(folder):
        where = standing(gateway, folder) if gateway.log is not None else "ended"
        if where == "copied":
            return UsageError(
                f"nothing runs in the background here: {gateway.url} belongs to {Path(gateway.folder or '').parent}, "
                "which this project was copied from",
                hint="freehold down in that project stops it; freehold up starts one here",
            )
        if where == "elsewhere":
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


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
