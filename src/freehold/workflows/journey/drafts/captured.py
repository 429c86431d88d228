"""A task's captured requests, taken over from the store they are in into the folder of a project of their own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec

from freehold import files
from freehold.datasets.tasks.selecting import is_selected
from freehold.errors import UsageError
from freehold.store import audit, open_store
from freehold.types.config import DataConfig
from freehold.types.config.matching import MatchConfig
from freehold.types.progress import Progress
from freehold.workflows.project import Project, now

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
