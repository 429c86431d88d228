"""How several projects' migrations ended, as `freehold migrate --all` tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from freehold.types.record import Record

MigrationOutcome = Literal["promote", "hold", "reject", "no candidate", "failed"]


class MigratedProject(Record, frozen=True, kw_only=True):
    """A project and how its migration ended. Scores are means of its task's scorer; a page is a path from the folder of
    all projects. `why` is the verdict's first reason, or the error."""

    name: str
    folder: str
    outcome: MigrationOutcome
    why: str | None = None
    hint: str | None = None
    incumbent: str | None = None
    candidate: str | None = None
    incumbent_mean: float | None = None
    candidate_mean: float | None = None
    items: int | None = None
    alpha: float | None = None
    page: str | None = None


class AllMigrated(Record, frozen=True, kw_only=True):
    """All projects of a folder, in the order they ran. `page` is the report over all of them."""

    version: int = 1
    at: datetime
    projects: tuple[MigratedProject, ...]
    page: str

    @property
    def exit_code(self) -> int:
        """2 where one failed, else 1 where one was rejected or has no candidate, else 3 where one is held, else 0."""
        ended = {project.outcome for project in self.projects}
        if "failed" in ended:
            return 2
        if ended & {"reject", "no candidate"}:
            return 1
        return 3 if "hold" in ended else 0
