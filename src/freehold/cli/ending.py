"""How a command ends that is stopped by a signal, or whose output is no longer read, as behind ``| head``."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

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
