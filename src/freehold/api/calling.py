"""How Python calls: what callers may hand over, made into what workflows take, and calls that block where an event loop
runs in the caller's thread already, as in a notebook or an asynchronous program."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, wait
from contextvars import copy_context
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

from freehold.errors import UsageError
from freehold.progress import Progress, ProgressLines, Silent
from freehold.visible import visible

if TYPE_CHECKING:
    from freehold.costs.prices import TokenPrice
    from freehold.types.cost import Range
    from freehold.types.use import UseProfile
    from freehold.workflows.project import Project


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


FilePath: TypeAlias = str | os.PathLike[str]
"""A file or folder."""
Amount: TypeAlias = int | float | str | Decimal
"""A number of dollars, tokens or requests; text and `Decimal` are kept exactly as written."""
Use: TypeAlias = "UseProfile | Mapping[str, object] | None"
"""Who uses a model and for what: a profile, keys of `[use]`, or None for what the project's file says."""


def use_of(use: Use, project: Project) -> UseProfile:
    """Raises `ConfigError` for an unknown key or a value of another type."""
    from freehold.types.use import UseProfile
    from freehold.workflows.license.use import with_values

    if use is None:
        return project.config.use
    return use if isinstance(use, UseProfile) else with_values(UseProfile(), use)


def paths(files: tuple[FilePath, ...]) -> tuple[Path, ...]:
    return tuple(Path(one) for one in files)


def decimal(value: Amount | None) -> Decimal | None:
    """Raises `UsageError` for what is not a finite number."""
    if value is None:
        return None
    try:
        made = Decimal(str(value).replace("_", "").replace(",", ""))
    except ArithmeticError:
        raise UsageError(f"{value!r} is not a number") from None
    if not made.is_finite():
        raise UsageError(f"{value!r} is not a finite number")
    return made


def low_high(value: Amount | tuple[Amount, Amount] | None) -> Range | None:
    """One amount, or the lowest and the highest."""
    from freehold.types.cost import Range

    if value is None:
        return None
    low, high = value if isinstance(value, tuple) else (value, value)
    ends = decimal(low), decimal(high)
    assert ends[0] is not None and ends[1] is not None
    return Range(low=ends[0], high=ends[1])


def token_price(price: tuple[Amount, Amount] | None) -> TokenPrice | None:
    """Dollars per million prompt and completion tokens."""
    from freehold.costs.prices import TokenPrice

    if price is None:
        return None
    prompt, completion = decimal(price[0]), decimal(price[1])
    assert prompt is not None and completion is not None
    return TokenPrice(prompt, completion)
