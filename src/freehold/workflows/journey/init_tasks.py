"""`freehold init --task` and `--all`: a project for a task of a log, or one for each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from freehold.errors import UsageError, did_you_mean
from freehold.types.log_task import LogTask, LogTasks
from freehold.types.progress import Progress
from freehold.types.record import Record
from freehold.workflows.journey.init import Draft, DraftRequest, draft
from freehold.workflows.journey.tasks import tasks_of_files
from freehold.workflows.project import CONFIG_NAME


class TaskDraft(Record, frozen=True, kw_only=True):
    """A task, and the `freehold.toml` written for it."""

    task: str
    requests: int
    draft: Draft


class TaskDrafts(Record, frozen=True, kw_only=True):
    """The projects that were written, the task that suits a move best first. `left_out` says why a task has none."""

    version: int = 1
    drafts: tuple[TaskDraft, ...]
    left_out: dict[str, str]


def draft_task(request: DraftRequest, name: str, *, progress: Progress) -> TaskDraft:
    """Write a project for the task of that name into `request.folder`.

    Raises `UsageError` for an unknown name and where no method suits the task, and what `draft` raises.
    """
    found = _found(request, progress)
    task = next((one for one in found.tasks if one.name == name), None)
    if task is None:
        names = [one.name for one in found.tasks]
        raise UsageError(
            f"no task is called {name}",
            hint=did_you_mean(name, names, f"freehold tasks FILE shows them: {', '.join(names[:5])}"),
        )
    if task.method is None:
        raise UsageError(f"no project can be made for {name}: {task.method_why}", hint="choose another task")
    return _draft(request, task)


def draft_all(request: DraftRequest, *, progress: Progress) -> TaskDrafts:
    """Write a project for each task, into a folder of its name in `request.folder`.

    Nothing is written where one of them is there already, unless `request.replace`. Raises what `draft` raises.
    """
    found = _found(request, progress)
    chosen = [task for task in found.tasks if task.method is not None]
    if not chosen:
        raise UsageError(
            "no task of the log can be a project", hint="freehold tasks FILE says why, task by task"
        )
    folders = [request.folder / task.name for task in chosen]
    there = [folder / CONFIG_NAME for folder in folders if (folder / CONFIG_NAME).exists()]
    if there and not request.replace:
        raise UsageError(
            f"{there[0]} is there already",
            hint="choose another folder with --dir, or overwrite with --replace",
        )
    drafts: Sequence[TaskDraft] = [
        _draft(request._replace(folder=folder), task) for folder, task in zip(folders, chosen, strict=True)
    ]
    return TaskDrafts(
        drafts=tuple(drafts),
        left_out={task.name: task.method_why for task in found.tasks if task.method is None},
    )


def _found(request: DraftRequest, progress: Progress) -> LogTasks:
    if not request.files:
        raise UsageError("no log to find tasks in", hint="freehold init FILE --task NAME")
    return tasks_of_files((*request.files, *request.held_out), data=request.data, progress=progress)


def _draft(request: DraftRequest, task: LogTask) -> TaskDraft:
    written = draft(
        request._replace(
            name=request.name or task.name,
            incumbent=request.incumbent or task.model,
            data=msgspec.structs.replace(request.data, match=task.match),
        )
    )
    return TaskDraft(task=task.name, requests=task.requests, draft=written)
