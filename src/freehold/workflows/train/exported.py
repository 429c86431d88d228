"""What adapters and encoders that are exported share: the folder, made next to its place and moved there in one step,
and what the records say of what is in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from freehold import __version__
from freehold.datasets import building
from freehold.engines.weights.store import WeightsStore
from freehold.errors import FreeholdError, StorageError, UsageError
from freehold.files import shared
from freehold.progress import Progress
from freehold.store import open_store
from freehold.training.artefacts import sha256_of
from freehold.types.dataset import Dataset
from freehold.types.encoder import EncoderModel
from freehold.types.license import Ruling
from freehold.types.model import Weights
from freehold.types.report import CandidateReport, Report
from freehold.types.training import Adapter
from freehold.types.use import UseProfile
from freehold.workflows.data.curate import data_in_short
from freehold.workflows.license.rule import lineage_of, rule_for_model
from freehold.workflows.project import Project

README = "README.md"

Files = dict[str, str]
"""File name to sha256."""


@contextlib.contextmanager
def export_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `target` at the end; other programs and users may read it.

    Raises `UsageError` where the place is taken, before anything is written, and `StorageError` where the disk refuses;
    what was there then stays.
    """
    may_replace(target)
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        with shared(partial):
            partial.mkdir(parents=True)
            yield partial
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        raise StorageError(
            f"{target}: cannot be written: {error.strerror or error}",
            hint="free some space, or choose --out FOLDER",
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def hashes_of(folder: Path) -> Files:
    """The sha256 of each file below a folder, by its name relative to that."""
    return {
        str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def bytes_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def may_replace(target: Path) -> None:
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


def stored_base(project: Project, base_model: str) -> Weights | None:
    """A base's weights where they are in the store; exports that do not hold them fetch nothing for its licence."""
    stored = WeightsStore(project.settings.home).find(base_model)
    return stored.weights if stored is not None else None


def facts_of(
    project: Project,
    trained: Adapter | EncoderModel,
    files: Files,
    licenses: list[str],
    progress: Progress,
) -> dict[str, Any]:
    """What the card of any export says (`ExportFacts`), besides how it is used."""
    dataset, candidate = dataset_of(project, trained.dataset_id), candidate_of(project, trained.id)
    given = msgspec.structs.replace(project.config.use, distributes_weights=True)
    own, passing_on = (
        _rule(use, trained.base_model, dataset, progress) for use in (project.config.use, given)
    )
    incumbent = project.config.incumbent
    return {
        "files": files,
        "app": project.config.app.name,
        "version": __version__,
        "dataset": dataset,
        "data": data_in_short(dataset),
        "ruling": candidate.ruling if candidate is not None and candidate.ruling is not None else own,
        "passing_on": passing_on,
        "candidate": candidate,
        "incumbent": incumbent.model if incumbent is not None else None,
        "license_files": tuple(licenses),
    }


def dataset_of(project: Project, dataset_id: str) -> Dataset | None:
    """The dataset it was trained on, where it is known."""
    folder = project.state / "datasets" / dataset_id
    if (folder / "manifest.json").is_file():
        return building.load(folder)
    with open_store(project.store_url) as store:
        return store.get(Dataset, dataset_id)


def candidate_of(project: Project, trained_id: str) -> CandidateReport | None:
    """The newest report's lines on what was trained."""
    with open_store(project.store_url) as store:
        found = [
            candidate
            for report in store.records(Report)
            for candidate in report.candidates
            for trained in (candidate.trained, candidate.encoder)
            if trained is not None and trained.id == trained_id
        ]
    return found[-1] if found else None


def _rule(use: UseProfile, base_model: str, dataset: Dataset | None, progress: Progress) -> Ruling | None:
    try:
        lineage = None if dataset is None else lineage_of(base_model, dataset)
        return rule_for_model(base_model, use, lineage=lineage)
    except FreeholdError as error:
        progress.say(f"warning: the card has no ruling: {error.message}")
        return None
