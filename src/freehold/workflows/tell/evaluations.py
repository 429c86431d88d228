"""Every evaluation a project has kept, side by side: those of `migrate` and those made by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from freehold.store import open_store
from freehold.types.evaluated import Evaluation, EvaluationLine, ItemLook
from freehold.workflows.project import Project

_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)


def evaluations(project: Project) -> list[EvaluationLine]:
    """All evaluations in the project's store, the last one first."""
    with open_store(project.reading_url) as store:
        looks = {look.id: look.at for look in store.records(ItemLook)}
        found = [EvaluationLine.of(one, looks.get(one.id)) for one in store.records(Evaluation)]
        found += store.records(EvaluationLine)
    return sorted(found, key=lambda one: one.at or _BEFORE, reverse=True)
