"""Blocking calls where an event loop runs in the caller's thread already: in a notebook, in an asynchronous program."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from freehold.progress import Progress, ProgressLines, Silent
from freehold.visible import visible

P = ParamSpec("P")
T = TypeVar("T")
LOOK_EVERY_S = 0.5


def result_of(work: Future[T]) -> T:
    """What work in another thread comes to, waited for so that Ctrl-C is always noticed. Raises what the work raises.

    A signal that comes just before a thread begins to wait for a lock does not wake it, and Python's handler runs when
    the wait is over: without a time limit that may be never.
    """
    while not wait((work,), LOOK_EVERY_S).done:
        pass
    return work.result()


def blocking(call: Callable[P, T]) -> Callable[P, T]:
    """A function that blocks until it is done, also where an event loop runs in the calling thread.

    Workflows begin event loops of their own, which one thread cannot hold two of: there they work in a thread of their
    own. What stops the caller (Ctrl-C, a notebook's stop button) stops the work.
    """

    @functools.wraps(call)
    def waited(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return call(*args, **kwargs)
        return _in_thread(functools.partial(call, *args, **kwargs))

    return waited


def finished(work: Callable[[], Awaitable[T]]) -> T:
    """What asynchronous work comes to; for use within `blocking`."""
    import anyio

    return anyio.run(work)


def _in_thread(call: Callable[[], T]) -> T:
    result: Future[T] = Future()
    context = copy_context()
    lock = threading.Lock()
    works = stopped = False

    def run() -> None:
        nonlocal works
        try:
            with lock:
                if stopped:
                    raise KeyboardInterrupt
                works = True
            result.set_result(context.run(call))
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
            result.set_exception(error)

    thread = threading.Thread(target=run, name="freehold call", daemon=True)
    # Beginning a thread waits for it, so Ctrl-C may come then as well.
    act: Callable[[], Any] = thread.start
    while True:
        try:
            act()
            return result_of(result)
        except KeyboardInterrupt:
            # The work's own end, or the second time that it was asked for.
            if result.done() or stopped:
                raise
            with lock:
                stopped = True
                if works:
                    interrupt(thread)
            act = functools.partial(result_of, result)


def interrupt(thread: threading.Thread) -> None:
    """Raise KeyboardInterrupt in another thread, which puts away what it began (`PyThreadState_SetAsyncExc`)."""
    raised: Any = ctypes.py_object(KeyboardInterrupt)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), raised)


def watched(progress: Progress | None) -> Progress:
    """The caller's own, else the one that suits where this runs."""
    if progress is not None:
        return progress
    return ProgressLines(_to_stderr) if sys.stderr.isatty() or _is_notebook() else Silent()


def _is_notebook() -> bool:
    # IPython says it of itself. That ipykernel is imported says nothing: who starts kernels imports it, too.
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _to_stderr(text: str) -> None:
    print(visible(text), file=sys.stderr)  # noqa: T201 - what a terminal shows of a call
