"""`freehold init --task` and `--all`: a project for a task of a log or of what is captured, or one for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec

from freehold import files
from freehold.datasets.tasks import is_selected
from freehold.errors import UsageError, did_you_mean
from freehold.progress import Progress
from freehold.store import audit, open_store
from freehold.types.application import LogTask, LogTasks
from freehold.types.config import DataConfig, MatchConfig
from freehold.types.record import Record
from freehold.workflows.journey.init import Draft, DraftRequest, draft
from freehold.workflows.journey.log_tasks import tasks_captured, tasks_of_files
from freehold.workflows.project import CONFIG_NAME, Project, now


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


def draft_task(
    request: DraftRequest, name: str, *, captured: Project | None = None, progress: Progress
) -> TaskDraft:
    """Write a project for the task of that name into `request.folder`; of `captured`, where it is given, the task's
    requests are taken over into that folder.

    Raises `UsageError` for an unknown name and where no method suits the task, and what `draft` and `take_over` raise.
    """
    found = _found(request, captured, progress)
    task = next((one for one in found.tasks if one.name == name), None)
    if task is None:
        names = [one.name for one in found.tasks]
        raise UsageError(
            f"no task is called {name}",
            hint=did_you_mean(name, names, f"freehold tasks FILE shows them: {', '.join(names[:5])}"),
        )
    if task.method is None:
        raise UsageError(f"no project can be made for {name}: {task.method_why}", hint="choose another task")
    if captured is not None:
        _check_absent([request.folder])
        request = _with_captured(request, [(request.folder, task)], captured, progress)[0]
    return _draft(request, task)


def draft_all(request: DraftRequest, *, captured: Project | None = None, progress: Progress) -> TaskDrafts:
    """Write a project for each task, into a folder of its name in `request.folder`; of `captured` as `draft_task`.

    Nothing is written where one of them is there already. Raises what `draft` raises.
    """
    found = _found(request, captured, progress)
    chosen = [task for task in found.tasks if task.method is not None]
    if not chosen:
        raise UsageError(
            "no task of the log can be a project", hint="freehold tasks FILE says why, task by task"
        )
    folders = [request.folder / task.name for task in chosen]
    _check_absent(folders)
    requests = [request._replace(folder=folder) for folder in folders]
    if captured is not None:
        requests = _with_captured(request, list(zip(folders, chosen, strict=True)), captured, progress)
    drafts: Sequence[TaskDraft] = [_draft(one, task) for one, task in zip(requests, chosen, strict=True)]
    return TaskDrafts(
        drafts=tuple(drafts),
        left_out={task.name: task.method_why for task in found.tasks if task.method is None},
    )


def _check_absent(folders: Sequence[Path]) -> None:
    there = [folder / CONFIG_NAME for folder in folders if (folder / CONFIG_NAME).exists()]
    if there:
        raise UsageError(f"{there[0]} is there already", hint="choose another folder with --dir")


def _with_captured(
    request: DraftRequest, chosen: Sequence[tuple[Path, LogTask]], captured: Project, progress: Progress
) -> list[DraftRequest]:
    """The request for each folder, with what was captured of its task."""
    taken = take_over(captured, {folder: task.match for folder, task in chosen}, progress=progress)
    return [
        request._replace(folder=folder, files=(taken[folder],), captured_in=captured.root)
        for folder, _ in chosen
    ]


def _found(request: DraftRequest, captured: Project | None, progress: Progress) -> LogTasks:
    if captured is not None:
        return tasks_captured(captured, progress=progress)
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


CAPTURED = Path(".freehold") / "captured.jsonl"
"""Within the new project's folder: where `freehold forget` looks as well, and git does not."""
_BATCH = 1000


def take_over(
    project: Project,
    tasks: Mapping[Path, tuple[MatchConfig, ...]],
    *,
    who: str = "",
    progress: Progress,
) -> dict[Path, Path]:
    """Write each task's whole requests, answers included, into the folder of its new project; mirrored ones are left
    out. Returns the file of each folder.

    Raises `UsageError` where a folder is the project's own, whose store would hold them twice, and `StorageError` for a
    file that cannot be written: none is left half-written then.
    """
    if any(folder.resolve() == project.root.resolve() for folder in tasks):
        raise UsageError(
            f"{project.root} holds the captured requests already: a project of one task needs a folder of its own",
            hint="--dir FOLDER",
        )
    progress.step("take the captured requests over")
    written = {folder: folder / CAPTURED for folder in tasks}
    selected = {folder: DataConfig(match=match) for folder, match in tasks.items()}
    counts = dict.fromkeys(tasks, 0)
    with open_store(project.store_url) as store, ExitStack() as stack:
        stack.enter_context(files.writing(f"{', '.join(map(str, written.values()))}: cannot be written"))
        out = {folder: _opened(stack, path) for folder, path in written.items()}
        for count, trace in enumerate(store.traces(own_only=True), start=1):
            for folder, data in selected.items():
                if is_selected(trace, data):
                    out[folder].write(msgspec.json.encode(trace) + b"\n")
                    counts[folder] += 1
            if count % _BATCH == 0:
                progress.update(count, None, unit="requests")
        for folder in tasks:
            out[folder].flush()
        detail = {"format": "jsonl", "content": True, "traces": sum(counts.values())}
        audit.note(store.database, "export", "traces", who=who, at=now(), detail=detail)
    return written


def _opened(stack: ExitStack, path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignored = path.parent / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n")  # as the state folder of every project has it
    partial = stack.enter_context(files.replacing(path))
    partial.touch(mode=0o600)
    return stack.enter_context(partial.open("wb"))
