"""How every journey begins: the traffic is read, and a dataset built of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from freehold.errors import InputError, UsageError
from freehold.evals.scorers import for_task
from freehold.progress import Progress
from freehold.store import Store, open_store
from freehold.types.dataset import Dataset
from freehold.types.record import Record
from freehold.workflows.data import dataset as dataset_workflow
from freehold.workflows.data.imports import ImportResult, import_files, named_files
from freehold.workflows.journey.steps import Steps
from freehold.workflows.project import Project
from freehold.workflows.project_store import one_at_a_time
from freehold.workflows.prove.task import task_of

LOCK = "migration"
"""The lock that `migrate` and `prepare` hold: two at once would write the same steps, datasets and adapters."""


class Imports(Record, frozen=True, kw_only=True):
    """What the import step brought in."""

    results: tuple[ImportResult, ...]


def prepare(project: Project, *, progress: Progress) -> Dataset:
    """Import and build the dataset, as `migrate` does first; `migrate` then finds both done."""
    for_task(task_of(project))  # a wrong option is told before files are read
    with (
        open_store(project.store_url) as store,
        one_at_a_time(store, LOCK, say=progress.say) as lock,
    ):
        steps = Steps(store, progress, check=lock.check)
        read_traffic(project, store, steps, progress)
        return build_dataset(project, store, steps)


def read_traffic(project: Project, store: Store, steps: Steps, progress: Progress) -> None:
    """Bring in the files that the project names. Raises `UsageError` where there is no traffic at all."""
    data = project.config.data
    files = [(name, False) for name in data.files] + [(name, True) for name in data.held_out_files]
    if not files and store.count_traces() == 0:
        raise UsageError(
            "there is no traffic to learn from",
            hint="name log files in [data] files, or capture some with freehold up",
        )

    def work() -> Imports:
        results = import_files(project, named_files(project), data=data, progress=progress)
        for result in results:
            if result.rejected:
                progress.say(
                    f"{result.file}: {result.rejected:,} records rejected, see {result.rejects_file}"
                )
        return Imports(results=results)

    inputs = [[name, held_out, _sha256(project.path(name))] for name, held_out in files]
    steps.run("import", "read the traffic", [inputs, data], Imports, work)


def build_dataset(project: Project, store: Store, steps: Steps) -> Dataset:
    """The dataset of what was read, or the one that was built of the same before."""
    inputs: list[Any] = [
        project.config.data,
        project.config.curate,
        [project.config.task.group_by, project.config.task.scorer, project.config.task.options],
        project.config.incumbent,
        store.traces_state(),
        [_sha256(project.path(n)) for n in (*project.config.data.files, *project.config.data.held_out_files)],
    ]
    if project.config.chooses and project.config.data.validation is None:
        inputs.append(project.config.task.margin)  # it decides how large the selection split is
    return steps.run(
        "dataset",
        "build the dataset",
        inputs,
        Dataset,
        lambda: dataset_workflow.build(project),
        still_there=lambda dataset: (Path(dataset.path) / "manifest.json").exists(),
    )


def _sha256(path: Path) -> str:
    """SHA-256 of a file. Raises `InputError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(
            "no such file",
            path=str(path),
            hint="it is named in [data] of freehold.toml; paths are relative to that file",
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None
