"""How a command ends that is stopped by a signal, whose output is no longer read, as behind ``| head``, or that the
system refuses something."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from freehold.errors import StorageError, UsageError

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


class ReaderGoneError(Exception):
    """The program that read the output has ended."""


@contextlib.contextmanager
def past_click() -> Iterator[None]:
    """Tell of a closed pipe by `ReaderGoneError`: `BrokenPipeError` is taken by click, which ends with 1 for it."""
    try:
        yield
    except BrokenPipeError:
        raise ReaderGoneError from None


def end() -> NoReturn:
    """End as SIGPIPE ends programs."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what Python still holds for them cannot be written when it ends
        os.dup2(nowhere, descriptor)
    sys.exit(141)


_AGAIN_AFTER_S = 0.02


class Terminated(KeyboardInterrupt):
    """SIGTERM came.

    A plain `KeyboardInterrupt` that passes through `exec`, where a dataclass is being made, ends ``python -m freehold``
    by SIGINT even after it was caught (CPython, `run_eval_code_obj`); one of a class of its own does not.
    """


def listen(ended: list[int]) -> None:
    """From now on SIGTERM raises `Terminated` in the main thread, once; its number is put into `ended`.

    What a signal raises while Python runs a finalizer or the callback of a weak reference is written to stderr as
    ignored, and the program goes on (`sys.unraisablehook`): the signal is given again then, a moment later.
    """

    def end(number: int, _frame: object) -> None:
        ended.append(number)
        if len(ended) == 1:  # a second one must not interrupt what the first one has begun to put away
            raise Terminated

    otherwise = sys.unraisablehook

    def give_again(ignored: UnraisableHookArgs) -> None:
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            otherwise(ignored)
            return
        number = signal.SIGINT
        if issubclass(ignored.exc_type, Terminated):
            number = signal.SIGTERM
            ended.clear()
        main = threading.main_thread().ident
        assert main is not None
        again = threading.Timer(_AGAIN_AFTER_S, signal.pthread_kill, (main, number))
        again.daemon = True
        again.start()

    signal.signal(signal.SIGTERM, end)
    if hasattr(signal, "pthread_kill"):  # Windows has no signal that ends a sleep of the main thread
        sys.unraisablehook = give_again


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
