"""What the system refuses a command or lacks, told instead of a traceback."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from types import ModuleType

from freehold.errors import StorageError, UsageError

_OF_NO_FILE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM))
"""Errors that say enough without a file's name."""


def check_words(words: Sequence[str]) -> None:
    """Raise `UsageError` for a word of the command line that is not UTF-8: records and configurations are, and a name
    in another encoding could not be kept in them."""
    for word in words:
        if not _is_text(word):
            raise _not_utf8(word)


def system_error(error: Exception) -> StorageError | UsageError | None:
    """The error in words, where the system refused a file, or where a name is not UTF-8; None for any other, which is
    freehold's own mistake."""
    if isinstance(error, UnicodeEncodeError):
        return None if _is_text(error.object) else _not_utf8(error.object)
    if not isinstance(error, OSError):
        return None
    said = error.strerror or str(error)
    if error.filename is not None:
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        return StorageError(f"{name}: {said}")
    return StorageError(said) if error.errno in _OF_NO_FILE else None


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)


def _not_utf8(name: str) -> UsageError:
    shown = name if len(name) <= 200 else "a name"
    return UsageError(
        f"{shown} is not UTF-8", hint="rename the file or folder; freehold keeps names as UTF-8"
    )


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
