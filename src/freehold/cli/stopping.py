"""SIGTERM ends a command as Ctrl-C does, and neither of the two is lost."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

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
