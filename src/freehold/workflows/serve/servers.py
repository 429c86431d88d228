"""How a server stands on its machine: the folders it writes, the file that names it, the manager that started it."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path
from typing import Literal

import msgspec

from freehold.errors import StorageError
from freehold.processes import RunningProcess, described, is_alive
from freehold.workflows.project import Project

NOTIFY_SOCKET = "NOTIFY_SOCKET"


class Served(RunningProcess, frozen=True, kw_only=True):
    """The file that says where a running server is, and which process it is."""

    url: str


def leave(file: Path, url: str) -> None:
    """Say in a file that only this user may read that this process serves there."""
    served = msgspec.convert({**described(os.getpid(), file.parent), "url": url}, Served)
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_bytes(msgspec.json.encode(served))


def live(log_dir: Path) -> list[Served]:
    """The servers of a project that live, those of this process included; not those of a project it is a copy of."""
    servers = []
    for file in sorted(log_dir.glob("serving-*.json")):
        try:
            served = msgspec.json.decode(file.read_bytes(), type=Served)
        except (OSError, msgspec.MsgspecError):
            continue
        if is_alive(served, log_dir):
            servers.append(served)
    return servers


def check_folders(project: Project) -> None:
    """Raises `StorageError`, in one line, where the project's state or temporary files cannot be written: a
    container's root is often read-only."""
    state = project.state
    if (why := _unwritable(state)) is not None:
        raise StorageError(
            f"{state}: the state folder cannot be written: {why}",
            hint="in a container, mount a volume there that this user may write; or name another: FREEHOLD_STATE",
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise StorageError(
            "no folder for temporary files can be written",
            hint="in a container, mount one: --tmpfs /tmp; or name another: TMPDIR",
        ) from None


def _unwritable(folder: Path) -> str | None:
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def tell_manager(state: Literal["READY=1", "STOPPING=1"]) -> bool:
    """Tell the service manager that started this process how it is, as systemd's ``Type=notify`` asks: one datagram to
    the socket in ``NOTIFY_SOCKET`` (https://www.freedesktop.org/software/systemd/man/sd_notify.html, read 2026-11-29).

    False where no manager asked for it, or its socket does not take it. Never raises: a server does not end because its
    manager is deaf."""
    address = os.environ.get(NOTIFY_SOCKET, "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return False
    if address.startswith("@"):  # a name that is not in the file system
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.sendto(state.encode(), address)
        return True
    return False
