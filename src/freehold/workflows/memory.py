"""How much memory a plan takes, as `freehold fit` computes it and as machines taught us since."""

from __future__ import annotations

from pathlib import Path

import msgspec

from freehold.errors import FreeholdError
from freehold.hardware.fit import with_id
from freehold.hardware.probes import probe_machine
from freehold.settings import Settings
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.types.machine import Fit, FitPart, Workload
from freehold.types.record import Record, content_id
from freehold.workflows.fit import fit_model
from freehold.workflows.project import Project, now


class MemoryCorrection(Record, frozen=True, kw_only=True):
    """A plan that should have fitted ran out of memory: what it is taken to need since. One per machine, weights
    and size of the plan."""

    id: str
    model: str
    machine: str
    computed_bytes: int
    bytes: int
    why: str
    at: str


def fit_of(plan: ServePlan, settings: Settings) -> Fit | None:
    """The fit of a plan on this machine; None where the engine holds no weights of its own here."""
    if plan.engine not in ("llamacpp", "vllm") or plan.weights_path is None:
        return None
    try:
        return fit_model(
            plan.weights_path,
            workload=Workload(context_tokens=plan.context_tokens, concurrency=plan.parallel),
            settings=settings,
            kv_type=plan.kv_type if plan.engine == "llamacpp" else "f16",
        )
    except FreeholdError:
        return None  # an architecture whose cache nobody described: served all the same


def needed_bytes(plan: ServePlan, project: Project) -> tuple[int, str | None]:
    """Memory a plan takes, and why when that is more than the fit says. 0 for engines that hold nothing here."""
    fit = fit_of(plan, project.settings)
    if fit is None:
        return 0, None
    computed = fit.total_bytes + sum(_size(Path(mount.path)) for mount in plan.adapters)
    with open_store(project.store_url) as store:
        found = store.get_record("memory_correction", _id(plan, project), MemoryCorrection)
    if found is not None and found.bytes > computed:
        return found.bytes, f"{found.at[:10]}: {found.why}"
    return computed, None


def learn(plan: ServePlan, assumed_bytes: int, why: str, project: Project) -> MemoryCorrection:
    """Record that a plan ran out of memory at load although it should have fitted."""
    fit = fit_of(plan, project.settings)
    made = MemoryCorrection(
        id=_id(plan, project),
        model=plan.model,
        machine=probe_machine(project.settings.home).name,
        computed_bytes=fit.total_bytes if fit is not None else 0,
        bytes=assumed_bytes,
        why=why,
        at=now().isoformat(),
    )
    with open_store(project.store_url) as store:
        store.put_record("memory_correction", made.id, made)
    return made


def corrected(fit: Fit, bytes: int, why: str) -> Fit:
    """The fit with what was learned added as a part of its own."""
    more = max(0, bytes - fit.total_bytes)
    return with_id(
        msgspec.structs.replace(
            fit,
            parts=(*fit.parts, FitPart(name="learned", bytes=more, basis=why)),
            total_bytes=fit.total_bytes + more,
            headroom_bytes=fit.headroom_bytes - more,
            fits=fit.fits and fit.headroom_bytes >= more,
        )
    )


def _id(plan: ServePlan, project: Project) -> str:
    box = probe_machine(project.settings.home)
    return content_id(
        [
            box.name, box.memory_bytes, [device.name for device in box.accelerators], plan.engine,
            plan.weights_sha256 or plan.weights_path, plan.context_tokens, plan.parallel, plan.kv_type,
        ]
    )  # fmt: skip


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.glob("*.gguf"))
    return path.stat().st_size if path.is_file() else 0
