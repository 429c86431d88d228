"""Who has to leave memory for whom. Pure: residents in, names out; no engine, no clock of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Resident(NamedTuple):
    """A loaded model. Times are seconds on any one clock; `busy` are requests under way or waiting for it."""

    name: str
    bytes: int
    last_used: float
    loaded_at: float
    busy: int = 0
    pinned: bool = False


class Room(NamedTuple):
    """What to do before a model is loaded: `leave` are told to take no new requests and stop when idle.

    `possible` is False when it cannot fit whatever leaves. `fits` says that it fits now, with nobody leaving.
    """

    possible: bool
    fits: bool
    leave: tuple[str, ...] = ()


def make_room(
    residents: Iterable[Resident], needed_bytes: int, budget_bytes: int, *, now: float, stay_seconds: float
) -> Room:
    """Who leaves for a model of `needed_bytes`: never pinned ones; idle ones before busy ones; among equals the
    one that was used longest ago. One that came within `stay_seconds` and is busy stays for the moment, so that
    two models that do not fit beside each other take turns of a sensible length.
    """
    held = list(residents)
    free = budget_bytes - sum(one.bytes for one in held)
    if needed_bytes <= free:
        return Room(possible=True, fits=True)
    fixed = sum(one.bytes for one in held if one.pinned)
    if needed_bytes > budget_bytes - fixed:
        return Room(possible=False, fits=False)
    movable = [
        one for one in held if not one.pinned and (one.busy == 0 or now - one.loaded_at >= stay_seconds)
    ]
    movable.sort(key=lambda one: (one.busy > 0, one.last_used))
    leave = []
    for one in movable:
        if needed_bytes <= free:
            break
        leave.append(one)
        free += one.bytes
    if needed_bytes > free:
        return Room(possible=True, fits=False)  # wait until somebody may leave
    # The last one taken may have been large enough alone.
    for one in list(leave):
        if needed_bytes <= free - one.bytes:
            leave.remove(one)
            free -= one.bytes
    return Room(possible=True, fits=False, leave=tuple(one.name for one in leave))


def idle(residents: Iterable[Resident], *, now: float, idle_seconds: float | None) -> tuple[str, ...]:
    """Who has done nothing for `idle_seconds` and is not pinned; nobody when that is None."""
    if idle_seconds is None:
        return ()
    return tuple(
        one.name
        for one in residents
        if not one.pinned and one.busy == 0 and now - one.last_used >= idle_seconds
    )
