"""Which process a state file means: told from a later one with its number, and from the process of a copied folder;
and a port for a process that is about to listen.

A number alone names a process only until it ends. On Linux a process is known by the boot of its machine, its process
namespace and its start in clock ticks since that boot, none of which a change of the clock moves; elsewhere by its
start in seconds. Not covered: two machines with one host name and without ``/proc``.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from freehold.errors import ConfigError, PortInUseError

Standing = Literal["alive", "ended", "elsewhere", "copied"]
"""`elsewhere` is another machine or container, whose processes cannot be seen from here; `copied` is a file that came
with a copy of the folder it was written in."""


class RunningProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that a state file names. `started` is in seconds since 1970; `birth` is what the system knows it by.

    `folder` is where the file was written, and `folder_id` what that folder is called by its file system, which stays
    when it is moved.
    """

    pid: int
    started: float
    host: str | None = None
    birth: str | None = None
    folder: str | None = None
    folder_id: str | None = None


def described(pid: int, folder: Path | None = None) -> dict[str, object]:
    """The fields of a `RunningProcess`, for a process that lives. Raises `psutil.NoSuchProcess`."""
    return {
        "pid": pid,
        "started": psutil.Process(pid).create_time(),
        "host": socket.gethostname(),
        "birth": _birth(pid),
        "folder": None if folder is None else str(folder.resolve()),
        "folder_id": None if folder is None else _folder_id(folder),
    }


def standing(process: RunningProcess, folder: Path | None = None) -> Standing:
    """What has become of a process, as a file in `folder` (None: not in a folder of its own) names it."""
    if folder is not None and process.folder is not None and not _is(folder, process):
        return "copied"
    if process.host is not None and process.host != socket.gethostname():
        return "elsewhere"
    if process.birth is not None and (place := _place()) is not None:
        if process.birth.rpartition("/")[0] != place:
            return "elsewhere"  # or this machine before it was started again, which looks the same in a container
        return "alive" if _birth(process.pid) == process.birth else "ended"
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.started) < 1.0
        return "alive" if same and found.status() != psutil.STATUS_ZOMBIE else "ended"
    except psutil.NoSuchProcess:
        return "ended"


def is_alive(process: RunningProcess, folder: Path | None = None) -> bool:
    """Whether it lives here, and is meant by the file in `folder`."""
    return standing(process, folder) == "alive"


def _is(folder: Path, process: RunningProcess) -> bool:
    return str(folder.resolve()) == process.folder or _folder_id(folder) == process.folder_id


def _folder_id(folder: Path) -> str | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return f"{found.st_dev}:{found.st_ino}"


def _place() -> str | None:
    """This boot of this machine and this process namespace; None where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _birth(pid: int) -> str | None:
    """What tells a living process from all others of this machine; None for one that has ended, and without /proc."""
    place, started = _place(), _start_ticks(pid)
    return None if place is None or started is None else f"{place}/{started}"


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since this boot; None for one that has ended, or that this user may not
    see, and without /proc. Raises `OSError` where it cannot be read, as with no file descriptor left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # proc(5): the name is in brackets and may hold anything; after it come the state, and as the 20th the start.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


def start_of(pid: int) -> int | None:
    """A number that tells a living process from later ones of its number, on this machine and until it is started
    again; None where it has ended. Clock ticks where there is /proc, else milliseconds. Raises `OSError`."""
    if Path("/proc/self/stat").exists():
        return _start_ticks(pid)
    try:
        found = psutil.Process(pid)
        return None if found.status() == psutil.STATUS_ZOMBIE else int(found.create_time() * 1000)
    except psutil.NoSuchProcess:
        return None


def this_process(folder: Path | None = None) -> RunningProcess:
    """The process that asks."""
    return msgspec.convert(described(os.getpid(), folder), RunningProcess)


def claim_port(host: str = "127.0.0.1", port: int = 0) -> int:
    """`port` where nothing listens on it, for 0 a free one. Raises `PortInUseError`, and `ConfigError` for a host that
    is not this machine's or a port that needs root.

    A free one is given to no other process for a minute: a connection to it has just ended here (TIME_WAIT), which the
    kernel passes over where it chooses, and which servers that name the port do not mind (SO_REUSEADDR, SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if port:
                probe.bind((host, port))
                return port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            probe.bind((host, 0))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(host, port) from None
            raise ConfigError(
                f"cannot listen on {host}, port {port}: {error.strerror}",
                hint="choose another address or port; ports below 1024 need root",
            ) from None
        except (TypeError, UnicodeError):  # letters that no name of a host has
            raise ConfigError(f"cannot listen on {host}: not the name of a host") from None
        probe.listen()
        with socket.create_connection(probe.getsockname()[:2]):
            probe.accept()[0].close()
        chosen: int = probe.getsockname()[1]
        return chosen
