"""Which models are unloaded to make room for another. Pure: residents in, names out; no engine, no clock of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from freehold.types.record import Record

STAY_SECONDS = 5.0


class PoolLimits(Record, frozen=True, kw_only=True):
    """What a pool may hold. `budget_bytes` of None means that everything fits; `idle_seconds` of None that idle models
    stay loaded. `queue` requests may wait for a model, each for `wait_seconds`.
    """

    budget_bytes: int | None = None
    idle_seconds: float | None = None
    queue: int = 256
    wait_seconds: float = 600.0
    stay_seconds: float = STAY_SECONDS
    """A busy model is not unloaded for another within this time after its load."""


class Resident(NamedTuple):
    """A loaded model. Times are seconds on any one clock; `busy` are requests under way or waiting for it."""

    name: str
    bytes: int
    last_used: float
    loaded_at: float
    busy: int = 0
    pinned: bool = False


class EvictionPlan(NamedTuple):
    """What to do before a model is loaded: those in `evict` take no new requests and are unloaded when idle.

    `possible` is False when the model cannot fit even alone with the pinned ones. `fits` says that it fits now, without
    an eviction. Neither `fits` nor anything in `evict` means: wait until a busy model may be unloaded.
    """

    possible: bool
    fits: bool
    evict: tuple[str, ...] = ()


def plan_eviction(
    residents: Iterable[Resident], needed_bytes: int, budget_bytes: int, *, now: float, stay_seconds: float
) -> EvictionPlan:
    """Which models are unloaded for one of `needed_bytes`: never pinned ones; idle ones before busy ones; among equals
    the least recently used. One that was loaded within `stay_seconds` and is busy stays for the moment, so that
    two models that do not fit together take turns of a sensible length.
    """
    loaded = list(residents)
    free = budget_bytes - sum(model.bytes for model in loaded)
    if needed_bytes <= free:
        return EvictionPlan(possible=True, fits=True)
    fixed = sum(model.bytes for model in loaded if model.pinned)
    if needed_bytes > budget_bytes - fixed:
        return EvictionPlan(possible=False, fits=False)
    evictable = [
        model
        for model in loaded
        if not model.pinned and (model.busy == 0 or now - model.loaded_at >= stay_seconds)
    ]
    evictable.sort(key=lambda model: (model.busy > 0, model.last_used))
    evict = []
    for model in evictable:
        if needed_bytes <= free:
            break
        evict.append(model)
        free += model.bytes
    if needed_bytes > free:
        return EvictionPlan(possible=True, fits=False)  # wait until one may be unloaded
    # The last one taken may have been large enough alone.
    for model in list(evict):
        if needed_bytes <= free - model.bytes:
            evict.remove(model)
            free -= model.bytes
    return EvictionPlan(possible=True, fits=False, evict=tuple(model.name for model in evict))


def idle_models(residents: Iterable[Resident], *, now: float, idle_seconds: float | None) -> tuple[str, ...]:
    """The models that have been idle for `idle_seconds` and are not pinned; none when that is None."""
    if idle_seconds is None:
        return ()
    return tuple(
        model.name
        for model in residents
        if not model.pinned and model.busy == 0 and now - model.last_used >= idle_seconds
    )
