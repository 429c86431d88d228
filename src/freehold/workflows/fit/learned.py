"""What a load taught about memory: a model that should have fitted and ran out of it.

::

    <home>/memory/<id>.json       one per machine, weights file and cache type

`freehold fit` adds what was learned as a separate part, so that a wrong estimate is made only once.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from freehold import files
from freehold.engines.weights.store import storage_errors
from freehold.hardware.fit import with_id
from freehold.types.machine import Fit, FitPart, Machine
from freehold.types.record import Record, content_id

PART = "learned"


class MemoryCorrection(Record, frozen=True, kw_only=True):
    """Weights that needed `more_bytes` than the `of_bytes` that were computed for a load. `why` is what the engine
    said."""

    id: str
    weights_path: str
    machine: str
    kv_type: str
    more_bytes: int
    why: str
    at: str
    of_bytes: int | None = None


def _id(weights_path: str, machine: Machine, kv_type: str) -> str:
    devices = [device.name for device in machine.accelerators]
    path = str(Path(weights_path).resolve())
    return content_id([machine.name, machine.memory_bytes, devices, path, kv_type])


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
    home: Path,
    weights_path: str,
    machine: Machine,
    kv_type: str,
    *,
    more_bytes: int,
    of_bytes: int | None = None,
    why: str,
    at: str,
) -> MemoryCorrection:
    """Record that weights needed more than the `of_bytes` computed; what was known before is only ever raised."""
    before = read(home, weights_path, machine, kv_type)
    if before is not None and before.more_bytes >= more_bytes:
        more_bytes, of_bytes = before.more_bytes, before.of_bytes
    made = MemoryCorrection(
        id=_id(weights_path, machine, kv_type),
        weights_path=weights_path,
        machine=machine.name,
        kv_type=kv_type,
        more_bytes=more_bytes,
        of_bytes=of_bytes,
        why=why,
        at=at,
    )
    file = home / "memory" / f"{made.id}.json"
    with storage_errors(file):
        files.write_json(file, made)
    return made


def corrected(fit: Fit, learned: MemoryCorrection | None) -> Fit:
    """The fit with what was learned added as a part: less where less is computed than for the load that failed."""
    if learned is None:
        return fit
    share = 1.0 if learned.of_bytes is None else min(1.0, fit.total_bytes / learned.of_bytes)
    more = round(learned.more_bytes * share)
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
