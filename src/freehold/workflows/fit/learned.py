"""What this machine taught: models that should have fitted and ran out of memory (``<home>/memory/<id>.json``, one per
machine, weights file and cache type), and speeds as `freehold fit --measure speed` keeps them.

`freehold fit` adds what was learned as a separate part, so that a wrong estimate is made only once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from freehold import files
from freehold.catalog import models as catalog
from freehold.engines.weights.store import storage_errors
from freehold.hardware.fit import with_id
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import weights_bytes
from freehold.hardware.speed import Build, estimate
from freehold.store import open_store
from freehold.types.machine import Fit, FitPart, Machine, MeasuredSpeed, Speed, Workload
from freehold.types.record import Record, content_id
from freehold.workflows.project import Project

LEARNED_PART = "learned"


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


def _correction_id(weights_path: str, machine: Machine, kv_type: str) -> str:
    devices = [device.name for device in machine.accelerators]
    path = str(Path(weights_path).resolve())
    return content_id([machine.name, machine.memory_bytes, devices, path, kv_type])


def read_correction(
    home: Path, weights_path: str | None, machine: Machine, kv_type: str
) -> MemoryCorrection | None:
    """What was learned of these weights on this machine."""
    if weights_path is None:
        return None
    file = home / "memory" / f"{_correction_id(weights_path, machine, kv_type)}.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=MemoryCorrection)
    except (OSError, msgspec.MsgspecError):
        return None


def learn_correction(
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
    before = read_correction(home, weights_path, machine, kv_type)
    if before is not None and before.more_bytes >= more_bytes:
        more_bytes, of_bytes = before.more_bytes, before.of_bytes
    made = MemoryCorrection(
        id=_correction_id(weights_path, machine, kv_type),
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
            parts=(*fit.parts, FitPart(name=LEARNED_PART, bytes=more, basis=basis)),
            total_bytes=fit.total_bytes + more,
            headroom_bytes=fit.headroom_bytes - more,
            fits=fit.fits and fit.headroom_bytes >= more,
            reasons=(
                *fit.reasons,
                f"it ran out of memory here before, although it should have fitted: {basis}",
            ),
        )
    )


def all_measured(project: Project) -> tuple[MeasuredSpeed, ...]:
    """Every measured speed, oldest first. A project without a store has none, and asking makes none."""
    with open_store(project.reading_url) as store:
        return tuple(store.records(MeasuredSpeed))


def measured(project: Project, model: str, quantization: str) -> Speed | None:
    """The newest measured speed of a model in a quantization on this machine; None when it was not measured."""
    return newest(all_measured(project), model, quantization, probe_machine(project.settings.home).name)


def newest(speeds: Iterable[MeasuredSpeed], model: str, quantization: str, machine: str) -> Speed | None:
    """The last of `speeds` that was measured with these weights on this machine.

    One without a quantization is of an endpoint that does not say which it serves: it speaks for any.
    """
    found = [
        one.speed
        for one in speeds
        if one.machine == machine
        and one.model.lower() == model.lower()
        and one.quantization in (None, quantization)
    ]
    return found[-1] if found else None


NEAR = (0.75, 1.35)
"""How much lower or higher another model comes out on the same machine, as a part of its roofline's upper end, with
weights of the same kind and the same build. Measured on two CPUs: within 0.85 and 1.18 (docs/reference/speed.md)."""
FAR = (0.55, 1.8)
"""The same between models of which one has over `ALIKE` times the other's bytes: measured within 0.61 and 1.63."""
ALIKE = 4


def narrowed(
    guess: Speed,
    weights: tuple[str, int],
    speeds: Iterable[MeasuredSpeed],
    machine: Machine,
    build: Build,
) -> Speed:
    """An estimate for this machine, narrowed by what another model was measured to reach here.

    `weights` are quantization and bytes of the model that is asked about. The newest measured model of the catalog
    counts whose weights are unpacked the same way; without one the estimate stays.
    """
    quantization, held = weights
    for one in reversed([one for one in speeds if one.machine == machine.name and one.engine == "llamacpp"]):
        model = catalog.find(one.model)
        if model is None or one.quantization is None or _kind(one.quantization) != _kind(quantization):
            continue
        if one.build not in (None, build):
            continue
        asked = Workload(
            context_tokens=one.prompt_tokens + one.completion_tokens, concurrency=one.speed.concurrency
        )
        size = weights_bytes(model.shape, one.quantization)
        own = estimate(model.shape, size, asked, machine, build=build)
        if own is None:
            return guess
        decode = one.speed.decode_tokens_per_second[1] / own.decode_tokens_per_second[1]
        prefill = one.speed.prefill_tokens_per_second[1] / own.prefill_tokens_per_second[1]
        spread = NEAR if max(size, held) <= ALIKE * min(size, held) else FAR
        return msgspec.structs.replace(
            guess,
            prefill_tokens_per_second=_near(guess.prefill_tokens_per_second, prefill, spread),
            decode_tokens_per_second=_near(guess.decode_tokens_per_second, decode, spread),
            decode_all_tokens_per_second=_near(guess.decode_all_tokens_per_second, decode, spread),
            basis=f"{guess.basis}; narrowed by {one.model} {one.quantization}, which was measured here",
        )
    return guess


def _near(estimated: tuple[float, float], reached: float, spread: tuple[float, float]) -> tuple[float, float]:
    """The part of a range that lies about what was reached of its upper end; all of it where they don't meet."""
    low, high = estimated
    near = max(low, high * reached * spread[0]), min(high, high * reached * spread[1])
    return near if near[0] < near[1] else estimated


def _kind(quantization: str) -> str:
    """How weights are unpacked: 16 bits not at all, K and I types in groups of groups, the others block by block."""
    name = quantization.upper()
    if name in ("F16", "BF16", "F32"):
        return "plain"
    return "groups" if "_K" in name or name.startswith("IQ") else "blocks"


def speed_id(machine: Machine, engine: str, weights: str) -> str:
    """The same machine, engine and weights give the same id."""
    devices = [device.name for device in machine.accelerators]
    return content_id([machine.name, machine.cpu, machine.cores, devices, engine, weights])
