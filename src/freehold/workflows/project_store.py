"""A project's store, opened. Apart from `project`, because a database library takes a while to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from freehold.store import Store, open_store
from freehold.workflows.project import Project


@contextmanager
def opened_store(project: Project, *, reads: bool = False) -> Iterator[tuple[Store, Project]]:
    """The project's store, open for as long as the block runs, and the project. A command that only `reads` makes
    none."""
    with open_store(project.reading_url if reads else project.store_url) as store:
        yield store, project
