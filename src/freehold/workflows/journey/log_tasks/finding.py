"""`freehold tasks`: which tasks are in a log, and which of them is worth moving first.

A log is read twice: to learn the templates, then to tell each request its task and to count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from freehold.costs.traffic import DAYS_PER_MONTH, LEAST_DAYS
from freehold.datasets import importing
from freehold.datasets.importing import Imported, PassedOver
from freehold.datasets.tasks import Grouper
from freehold.errors import InputError, UsageError
from freehold.progress import Progress, Silent
from freehold.store import open_store
from freehold.types.application import LogTasks
from freehold.types.config import DataConfig
from freehold.types.trace import Trace
from freehold.workflows.journey.log_tasks.figures import AskedRequest, GroupFigures
from freehold.workflows.journey.log_tasks.ranking import FoundTask, ranked
from freehold.workflows.project import Project

Log: TypeAlias = Callable[[], Iterable[AskedRequest]]
"""Reads a log from its beginning, each time it is called."""
_BATCH = 1000


class _Skipped:
    """What of a log was no request, counted while it is read."""

    def __init__(self) -> None:
        self.rejected = 0
        self.passed: Counter[str] = Counter()


def tasks_of_files(files: Sequence[Path], *, data: DataConfig, progress: Progress | None = None) -> LogTasks:
    """The tasks in log files (or folders). Raises `InputError` for a file that cannot be read or holds no request."""
    importing.check_fields(files, data)
    skipped = _Skipped()

    def read() -> Iterator[AskedRequest]:
        skipped.rejected, skipped.passed = 0, Counter()
        for path in files:
            for found in importing.read(path, data):
                if isinstance(found, Imported):
                    yield _logged(found)
                elif isinstance(found, PassedOver):
                    skipped.passed[found.reason] += 1
                else:
                    skipped.rejected += 1

    found = tasks_of(read, progress=progress)
    if not found.requests:
        raise InputError(
            "no request could be read",
            path=", ".join(map(str, files)),
            hint="freehold import --dry-run FILE shows how it is read, and why records are rejected",
        )
    return found.told(tuple(map(str, files)), skipped.rejected, dict(skipped.passed.most_common()))


def tasks_captured(project: Project, *, progress: Progress | None = None) -> LogTasks:
    """The tasks in a project's traces. Raises `UsageError` where there are none."""
    with open_store(project.reading_url) as store:
        found = tasks_of(
            lambda: (_traced(trace) for trace in store.traces() if trace.parent_id is None), progress=progress
        )
    if not found.requests:
        raise UsageError(
            "no traces to find tasks in",
            hint="freehold up --capture patterns records traffic, freehold import FILE brings some in; "
            "freehold tasks FILE reads a file as it is",
        )
    return found.told((str(project.root),), 0, {})


class FoundTasks(NamedTuple):
    """The tasks of a log as they are found, before they are put in words."""

    tasks: list[FoundTask]
    requests: int
    days: float | None

    def told(self, sources: tuple[str, ...], rejected: int, passed_over: dict[str, int]) -> LogTasks:
        """The record of what was found."""
        why = None
        if self.days is None:
            why = "the log does not say when requests were made"
        elif self.days < LEAST_DAYS:
            why = f"the log spans {self.days * 24:.1f} hours, which do not say how much a month is"
        months = None if self.days is None or why else self.days / float(DAYS_PER_MONTH)
        return LogTasks(
            sources=sources,
            requests=self.requests,
            rejected=rejected,
            passed_over=passed_over,
            days=self.days,
            why_no_month=why,
            tasks=tuple(ranked(self.tasks, requests=self.requests, months=months)),
        )


def tasks_of(log: Log, *, progress: Progress | None = None) -> FoundTasks:
    """Find the tasks of a log."""
    progress = progress or Silent()
    grouper = Grouper()
    progress.step("learn the prompts")
    total = 0
    for logged in log():
        grouper.learn(logged.asked())
        total += 1
        if total % _BATCH == 0:
            progress.update(total, None, unit="requests")
    grouper.learned()
    progress.step("count the tasks")
    figures: dict[int, GroupFigures] = {}
    first: datetime | None = None
    last: datetime | None = None
    counted = 0
    for logged in log():
        asked = logged.asked()
        figures.setdefault(grouper.group_of(asked), GroupFigures()).add(logged, asked)
        if logged.at is not None:
            first = logged.at if first is None else min(first, logged.at)
            last = logged.at if last is None else max(last, logged.at)
        counted += 1
        if counted % _BATCH == 0:
            progress.update(counted, total, unit="requests")
    days = None if first is None or last is None else (last - first).total_seconds() / 86_400
    tasks = [
        FoundTask(group=group, match=grouper.match(number), figures=figures[number])
        for number, group in enumerate(grouper.groups)
    ]
    return FoundTasks(tasks, counted, days)


def _logged(found: Imported) -> AskedRequest:
    model = found.request.get("model") or (found.response or {}).get("model")
    return AskedRequest(
        request=found.request,
        response=found.response,
        model=str(model or ""),
        gold=found.gold,
        at=found.at,
        usage=found.usage,
    )


def _traced(trace: Trace) -> AskedRequest:
    # A file's record without a time has that of its import.
    known = trace.imported_at is None or trace.at != trace.imported_at
    return AskedRequest(
        request=trace.request,
        response=trace.response,
        model=trace.model,
        kind=trace.kind,
        gold=trace.gold,
        at=trace.at if known else None,
        usage=trace.usage,
    )
