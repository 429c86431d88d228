"""`freehold adapters export`: an adapter in the form another tool reads, each with its model card."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from freehold import __version__
from freehold.datasets import building
from freehold.errors import FreeholdError, StorageError, UsageError, WeightsError
from freehold.files import shared
from freehold.report.model_card import CardFacts, model_card
from freehold.store import open_store
from freehold.training.output.artefacts import sha256_of
from freehold.types.config import UseProfile
from freehold.types.dataset import Dataset
from freehold.types.model import Weights
from freehold.types.progress import Progress
from freehold.types.record import Record
from freehold.types.report import CandidateReport, Report
from freehold.types.ruling import Ruling
from freehold.types.training import TrainingResult
from freehold.workflows.data.curate import data_in_short
from freehold.workflows.license.rule import lineage_of, rule_for_model
from freehold.workflows.project import Project
from freehold.workflows.train.export_kinds import (
    TAGGED,
    WRITERS,
    ExportOptions,
    ExportTask,
    ExportUsage,
    Kind,
    copy_licenses,
)
from freehold.workflows.weights.pull import ensure_weights
from freehold.workflows.weights.pull import open_store as open_weights

README = "README.md"

Files = dict[str, str]
"""File name to sha256."""


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
    adapter: TrainingResult,
    options: ExportOptions,
    *,
    out: Path | None = None,
    base: Weights | None = None,
    progress: Progress,
) -> Export:
    """Write an adapter for another tool into a folder of its own, with a model card.

    The folder is made next to its final place and moved there in one step; one that exists is replaced only when an
    export made it. `base` defaults to the weights it was trained on. Raises `UsageError`, `WeightsError` (the base is
    not here, or is another than trained on), `TrainingError` and `StorageError`.
    """
    kind = options.kind
    if options.quantization is not None and kind not in ("gguf", "ollama"):
        raise UsageError(f"--quant is for gguf and ollama, not for {kind}")
    target = out or project.root / "exports" / f"{adapter.name}-{adapter.id[:8]}-{kind}"
    _may_replace(target)
    partial = target.with_name(target.name + ".partial")
    weights = None
    if kind not in ("peft", "gguf-adapter"):
        weights = base or base_of(adapter, project, progress)
    quantization = options.quantization or ("Q8_0" if kind == "gguf" else None)
    if quantization is not None:
        options = msgspec.structs.replace(options, quantization=quantization.upper())
    try:
        shutil.rmtree(partial, ignore_errors=True)
        with shared(partial):  # other programs, and other users' servers, are to read it
            partial.mkdir(parents=True)
            progress.step(f"export {adapter.name} as {kind}")
            usage = WRITERS[kind](ExportTask(project, adapter, options, weights, partial))
            if adapter.call_format == "tagged":
                usage = usage._replace(notes=(TAGGED, *usage.notes))
            licenses = copy_licenses(weights or _stored_base(project, adapter), partial)
            files = {
                str(path.relative_to(partial)): sha256_of(path)
                for path in sorted(partial.rglob("*"))
                if path.is_file()
            }
            card = model_card(_facts(project, adapter, options, files, usage, progress, licenses))
            (partial / README).write_text(card, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        raise StorageError(
            f"{target}: cannot be written: {error.strerror or error}",
            hint="free some space, or choose --out FOLDER",
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Export(
        adapter_id=adapter.id,
        kind=kind,
        path=str(target),
        files=files,
        bytes=sum(path.stat().st_size for path in target.rglob("*") if path.is_file()),
        usage=usage.command,
        quantization=options.quantization,
        changed=usage.changed,
        notes=usage.notes,
    )


def base_of(adapter: TrainingResult, project: Project, progress: Progress) -> Weights:
    """The weights an adapter was trained on. Raises `WeightsError` when those here are others."""
    weights = ensure_weights(adapter.base_model, project.settings, progress=progress)
    if weights.sha256 != adapter.base_sha256:
        raise WeightsError(
            f"{adapter.name} was trained on other weights of {adapter.base_model}: sha256 {adapter.base_sha256[:12]}, "
            f"here are {weights.sha256[:12]} ({weights.quantization})",
            hint="name the file it was trained on with --base file:PATH",
        )
    return weights


def _may_replace(target: Path) -> None:
    """Raise `UsageError` unless the place is free, empty or holds an earlier export."""
    if not target.exists():
        return
    card = target / README
    ours = card.is_file() and "made by: freehold" in card.read_text(encoding="utf-8", errors="replace")
    if target.is_dir() and (ours or not any(target.iterdir())):
        return
    raise UsageError(
        f"{target} exists and is not an export of freehold", hint="choose another place: --out FOLDER"
    )


def _facts(
    project: Project,
    adapter: TrainingResult,
    options: ExportOptions,
    files: Files,
    usage: ExportUsage,
    progress: Progress,
    licenses: list[str],
) -> CardFacts:
    dataset = _dataset(project, adapter)
    candidate = _candidate(project, adapter)
    ruling = candidate.ruling if candidate is not None else None
    if ruling is None:
        ruling = _rule(project.config.use, adapter, dataset, progress)
    given = msgspec.structs.replace(project.config.use, distributes_weights=True)
    incumbent = project.config.incumbent
    return CardFacts(
        adapter=adapter,
        kind=options.kind,
        files=files,
        usage=usage.command,
        app=project.config.app.name,
        version=__version__,
        dataset=dataset,
        data=data_in_short(dataset),
        ruling=ruling,
        passing_on=_rule(given, adapter, dataset, progress),
        candidate=candidate,
        incumbent=incumbent.model if incumbent is not None else None,
        quantization=options.quantization,
        notes=usage.notes,
        license_files=tuple(licenses),
    )


def _stored_base(project: Project, adapter: TrainingResult) -> Weights | None:
    """The base's weights where they are in the store; kinds that do not hold it fetch nothing for its licence."""
    stored = open_weights(project.settings).find(adapter.base_model)
    return stored.weights if stored is not None else None


def _dataset(project: Project, adapter: TrainingResult) -> Dataset | None:
    folder = project.state / "datasets" / adapter.dataset_id
    if (folder / "manifest.json").is_file():
        return building.load(folder)
    with open_store(project.store_url) as store:
        return store.get(Dataset, adapter.dataset_id)


def _candidate(project: Project, adapter: TrainingResult) -> CandidateReport | None:
    """The newest report's lines on this adapter."""
    with open_store(project.store_url) as store:
        found = [
            candidate
            for report in store.records(Report)
            for candidate in report.candidates
            if candidate.trained is not None and candidate.trained.id == adapter.id
        ]
    return found[-1] if found else None


def _rule(
    use: UseProfile, adapter: TrainingResult, dataset: Dataset | None, progress: Progress
) -> Ruling | None:
    try:
        distilled = adapter.config.method == "distill"
        lineage = None if dataset is None else lineage_of(adapter.base_model, dataset, distilled=distilled)
        return rule_for_model(adapter.base_model, use, lineage=lineage)
    except FreeholdError as error:
        progress.say(f"warning: the card has no ruling: {error.message}")
        return None
