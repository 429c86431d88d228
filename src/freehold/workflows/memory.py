"""What a load taught about memory: a model that should have fitted and ran out of it.

::

    <home>/memory/<id>.json       one per machine, weights file and cache type

`freehold fit` adds what was learned as a part of its own, so a wrong estimate is made once.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from freehold.engines.weights.store import storage_errors
from freehold.hardware.fit import with_id
from freehold.types.machine import Fit, FitPart, Machine
from freehold.types.record import Record, content_id

PART = "learned"


class MemoryCorrection(Record, frozen=True, kw_only=True):
    """Weights that needed `more_bytes` than was computed, whatever the context. `why` is what the engine said."""

    id: str
    weights_path: str
    machine: str
    kv_type: str
    more_bytes: int
    why: str
    at: str


def _id(weights_path: str, machine: Machine, kv_type: str) -> str:
    devices = [device.name for device in machine.accelerators]
    place = str(Path(weights_path).resolve())
    return content_id([machine.name, machine.memory_bytes, devices, place, kv_type])


def read(home: Path, weights_path: str | None, machine: Machine, kv_type: str) -> MemoryCorrection | None:
    """What was learned of these weights on this machine."""
    if weights_path is None:
        return None
    file = home / "memory" / f"{_id(weights_path, machine, kv_type)}.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=MemoryCorrection)
    except (OSError, msgspec.MsgspecError):
        return None


def learn(
    home: Path, weights_path: str, machine: Machine, kv_type: str, *, more_bytes: int, why: str, at: str
) -> MemoryCorrection:
    """Record that weights needed more than was computed; what was known before is only ever raised."""
    before = read(home, weights_path, machine, kv_type)
    made = MemoryCorrection(
        id=_id(weights_path, machine, kv_type),
        weights_path=weights_path,
        machine=machine.name,
        kv_type=kv_type,
        more_bytes=max(more_bytes, before.more_bytes if before is not None else 0),
        why=why,
        at=at,
    )
    file = home / "memory" / f"{made.id}.json"
    with storage_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
        new.replace(file)
    return made


def corrected(fit: Fit, learned: MemoryCorrection | None) -> Fit:
    """The fit with what was learned added as a part."""
    if learned is None:
        return fit
    more = learned.more_bytes
    basis = f"ran out of memory at load on {learned.at[:10]}: {learned.why}"
    return with_id(
        msgspec.structs.replace(
            fit,
            parts=(*fit.parts, FitPart(name=PART, bytes=more, basis=basis)),
            total_bytes=fit.total_bytes + more,
            headroom_bytes=fit.headroom_bytes - more,
            fits=fit.fits and fit.headroom_bytes >= more,
            reasons=(
                *fit.reasons,
                f"it ran out of memory here before, although it should have fitted: {basis}",
            ),
        )
    )
