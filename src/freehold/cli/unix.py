"""What a command needs of Unix and this system lacks, told instead of a traceback."""

from __future__ import annotations

import os
import signal
from types import ModuleType

from freehold.errors import UsageError

_MODULES = frozenset(("fcntl", "grp", "pwd", "resource", "termios"))
_HOLDERS: tuple[ModuleType, ...] = (os, signal)


def unix_error(error: ImportError | AttributeError) -> UsageError | None:
    """The error in words, where it is a module, a call or a signal of Unix that is missing; None for any other."""
    if isinstance(error, ImportError):
        missing = error.name if error.name in _MODULES else None
    else:
        missing = error.name if any(error.obj is holder for holder in _HOLDERS) else None
    if missing is None:
        return None
    return UsageError(
        f"this command needs Linux or macOS: {missing} is not on this system",
        hint="on Windows use WSL 2; docs/releasing.md says what works without it",
    )
