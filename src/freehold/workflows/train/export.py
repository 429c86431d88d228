"""`freehold models export`: an adapter in the form another tool reads, each with its model card."""

from __future__ import annotations

from pathlib import Path

from freehold.errors import UsageError, WeightsError
from freehold.progress import Progress
from freehold.report.model_card import CardFacts, model_card
from freehold.types.model import Weights
from freehold.types.record import Record
from freehold.types.training import Adapter
from freehold.workflows.project import Project
from freehold.workflows.train.export_kinds import (
    TAGGED,
    WRITERS,
    ExportTask,
    Kind,
    copy_licenses,
)
from freehold.workflows.train.exported import (
    README,
    Files,
    bytes_of,
    export_folder,
    facts_of,
    hashes_of,
    may_replace,
    stored_base,
)
from freehold.workflows.weights.pull import ensure_weights


class Export(Record, frozen=True, kw_only=True):
    """What was written. `changed` counts layers with the adapter merged in; 0 where it lies next to its base."""

    adapter_id: str
    kind: Kind
    path: str
    files: Files
    bytes: int
    usage: str
    quantization: str | None = None
    changed: int = 0
    notes: tuple[str, ...] = ()


def export(
    project: Project,
    adapter: Adapter,
    kind: Kind,
    *,
    quantization: str | None = None,
    out: Path | None = None,
    progress: Progress,
) -> Export:
    """Write an adapter for another tool into a folder of its own, with a model card.

    The folder is made next to its final place and moved there in one step; one that exists is replaced only when an
    export made it. Raises `UsageError`, `WeightsError` (the base is
    not here, or is another than trained on), `TrainingError` and `StorageError`.
    """
    if quantization is not None and kind not in ("gguf", "ollama"):
        raise UsageError(f"--quant is for gguf and ollama, not for {kind}")
    target = out or project.root / "exports" / f"{adapter.name}-{adapter.id[:8]}-{kind}"
    may_replace(target)  # before a base is fetched
    weights = None
    if kind not in ("peft", "gguf-adapter"):
        weights = base_of(adapter, project, progress)
    if quantization is not None or kind == "gguf":
        quantization = (quantization or "Q8_0").upper()
    with export_folder(target) as partial:
        progress.step(f"export {adapter.name} as {kind}")
        task = ExportTask(project, adapter, kind, quantization, weights, partial)
        usage = WRITERS[kind](task)
        if adapter.call_format == "tagged":
            usage = usage._replace(notes=(TAGGED, *usage.notes))
        licenses = copy_licenses(weights or stored_base(project, adapter.base_model), partial)
        files = hashes_of(partial)
        facts = CardFacts(
            adapter=adapter,
            kind=kind,
            usage=usage.command,
            quantization=quantization,
            notes=usage.notes,
            **facts_of(project, adapter, files, licenses, progress),
        )
        (partial / README).write_text(model_card(facts), encoding="utf-8")
    return Export(
        adapter_id=adapter.id,
        kind=kind,
        path=str(target),
        files=files,
        bytes=bytes_of(target),
        usage=usage.command,
        quantization=quantization,
        changed=usage.changed,
        notes=usage.notes,
    )


def base_of(adapter: Adapter, project: Project, progress: Progress) -> Weights:
    """The weights an adapter was trained on, by their name or else from where they were.

    Raises `WeightsError` when those here are others.
    """
    trained_on = adapter.metadata.get("base_weights")
    source = trained_on.get("source") if isinstance(trained_on, dict) else None
    weights = ensure_weights(adapter.base_model, project.settings, progress=progress)
    if weights.sha256 != adapter.base_sha256 and source:
        weights = ensure_weights(str(source), project.settings, progress=progress)
    if weights.sha256 != adapter.base_sha256:
        raise WeightsError(
            f"{adapter.name} was trained on other weights of {adapter.base_model}: sha256 {adapter.base_sha256[:12]}, "
            f"here are {weights.sha256[:12]} ({weights.quantization})",
            hint=f"bring back what it was trained on: freehold models pull {source or adapter.base_model}",
        )
    return weights
