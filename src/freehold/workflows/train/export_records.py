"""What the records say of something that is exported: its data, its report, its rulings, its base."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from freehold.datasets import building
from freehold.engines.weights.store import WeightsStore
from freehold.errors import FreeholdError
from freehold.store import open_store
from freehold.types.config import UseProfile
from freehold.types.dataset import Dataset
from freehold.types.model import Weights
from freehold.types.progress import Progress
from freehold.types.report import CandidateReport, Report
from freehold.types.ruling import Ruling
from freehold.workflows.license.rule import lineage_of, rule_for_model
from freehold.workflows.project import Project


class ExportRulings(NamedTuple):
    """The ruling for the project's own use, and for the same use if the files were given to others."""

    own: Ruling | None
    passing_on: Ruling | None


def stored_base(project: Project, base_model: str) -> Weights | None:
    """A base's weights where they are in the store; exports that do not hold them fetch nothing for its licence."""
    stored = WeightsStore(project.settings.home).find(base_model)
    return stored.weights if stored is not None else None


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


def rulings_of(
    project: Project, base_model: str, dataset: Dataset | None, progress: Progress
) -> ExportRulings:
    """The rulings on what was made of a base and a dataset."""
    given = msgspec.structs.replace(project.config.use, distributes_weights=True)
    return ExportRulings(*(_rule(use, base_model, dataset, progress) for use in (project.config.use, given)))


def _rule(use: UseProfile, base_model: str, dataset: Dataset | None, progress: Progress) -> Ruling | None:
    try:
        lineage = None if dataset is None else lineage_of(base_model, dataset)
        return rule_for_model(base_model, use, lineage=lineage)
    except FreeholdError as error:
        progress.say(f"warning: the card has no ruling: {error.message}")
        return None
