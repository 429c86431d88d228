"""How Python calls: what callers may hand over, made into what workflows take, and calls that block where an event loop
runs in the caller's thread already, as in a notebook or an asynchronous program."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

import msgspec

from freehold.errors import UsageError
from freehold.progress import Progress, ProgressLines
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
    """The caller's own, else a line a step to stderr."""
    if progress is not None:
        return progress
    return ProgressLines(_to_stderr)


def _to_stderr(text: str) -> None:
    print(visible(text), file=sys.stderr)  # noqa: T201 - what a terminal shows of a call


FilePath: TypeAlias = str | os.PathLike[str]
"""A file or folder."""
Answers: TypeAlias = "FilePath | Mapping[Any, Any] | Iterable[Any]"
"""Answers of one model: a file; ``{id: answer}``; or a list, an array, a column or a frame, in one order."""
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


@contextmanager
def answer_files(incumbent: Answers, candidate: Answers, gold: Answers | None) -> Iterator[list[Path | None]]:
    """The files that hold these, written for as long as this lasts where they are in memory.

    Raises `UsageError` for columns of different lengths, and for right answers that are missing.
    """
    given = {"incumbent": incumbent, "candidate": candidate, "gold": gold}
    rows = {
        name: _rows(values, "gold" if name == "gold" else "output")
        for name, values in given.items()
        if values is not None and not isinstance(values, str | os.PathLike)
    }
    counts = {name: len(found) for name, found in rows.items() if not isinstance(given[name], Mapping)}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise UsageError(f"columns of different lengths: {said}", hint="name the items: {id: answer}")
    lacking = [str(row.get("id")) for row in rows.get("gold", ()) if row.get("gold") is None]
    if lacking:
        raise UsageError(
            f"{len(lacking):,} of {len(rows['gold']):,} right answers are missing, the first of item {lacking[0]}",
            hint="leave these items out of all columns; missing answers of a model may stay, and count as lost",
        )
    with tempfile.TemporaryDirectory(prefix="freehold-") as folder:
        made: list[Path | None] = []
        for name, values in given.items():
            if name in rows:
                path = Path(folder, f"{name}.jsonl")
                path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows[name]))
                made.append(path)
            else:
                made.append(None if values is None else Path(os.fspath(cast("FilePath", values))))
        yield made


def _rows(values: Any, field: str) -> list[dict[str, Any]]:
    if hasattr(values, "columns") and hasattr(values, "to_dict"):  # a frame
        values = values.to_dict("records")
    elif hasattr(values, "tolist"):  # a column or an array
        values = values.tolist()
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    return [
        {
            "id": str(key),
            **({k: _value(v) for k, v in one.items()} if isinstance(one, Mapping) else {field: _value(one)}),
        }
        for key, one in pairs
    ]


def _value(value: Any) -> Any:
    """None for what stands for a missing one in arrays and frames; numbers as text, as answers are."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    return str(value) if isinstance(value, int | float) else value


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
