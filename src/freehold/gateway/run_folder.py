"""The folder that the processes of a gateway share while it runs, among the temporary files."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import time
from pathlib import Path

from freehold.errors import ConfigError
from freehold.gateway.config import RECORDER_SOCKET

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
