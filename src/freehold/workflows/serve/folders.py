"""The folders that a server writes to, looked at before it starts: a container's root is often read-only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from freehold.errors import StorageError
from freehold.workflows.project import Project


def check_folders(project: Project) -> None:
    """Raises `StorageError`, in one line, where the project's state or temporary files cannot be written."""
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
