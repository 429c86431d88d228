"""Steps of a long workflow: each runs once for the same inputs, and a killed run goes on where it stopped."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from freehold.errors import InputError, UsageError
from freehold.evals.scorers import for_task
from freehold.progress import Progress
from freehold.store import Store, open_store
from freehold.types.dataset import Dataset
from freehold.types.record import Record, content_id
from freehold.types.report import StepTime
from freehold.workflows.data import dataset as dataset_workflow
from freehold.workflows.data.imports import ImportResult, import_files, named_files
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import one_at_a_time
from freehold.workflows.prove.task import task_of

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)


class Steps:
    """Runs steps and remembers, in the store, what each made from which inputs.

    A step's result is a record, kept under the step's name with the hash of its inputs. When the same step comes
    with the same hash again, and `still_there` finds what the record points at, the record is returned and nothing
    runs. `check` is called before each step and before its result is kept; what it raises ends the workflow.
    """

    def __init__(
        self,
        store: Store,
        progress: Progress,
        *,
        fresh: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.times: list[StepTime] = []
        self._store = store
        self._progress = progress
        self._fresh = fresh
        self._check = check

    def finished_at(self, name: str) -> datetime | None:
        """When a step was run last, in this run or an earlier one; None where it never was."""
        return self._store.step_finished_at(name)

    def run(
        self,
        name: str,
        title: str,
        inputs: Any,
        kind: type[R],
        work: Callable[[], R],
        *,
        still_there: Callable[[R], bool] = lambda _: True,
    ) -> R:
        """The step's record: from the store when nothing changed, else from `work`."""
        self._check()
        inputs_hash = content_id([name, inputs])
        kept = None if self._fresh else self._store.step_result(name, inputs_hash, kind)
        if kept is not None and still_there(kept):
            log.info("step %s: unchanged, record %s", name, inputs_hash)
            self._progress.step(self._numbered(title), note="unchanged since the last run")
            self.times.append(StepTime(name=title, seconds=0.0, skipped=True))
            return kept
        self._progress.step(self._numbered(title))
        log.info("step %s: begins", name)
        began = time.monotonic()
        made = work()
        self.times.append(StepTime(name=title, seconds=time.monotonic() - began))
        log.info("step %s: done in %.1f s", name, self.times[-1].seconds)
        self._check()
        self._store.finish_step(name, inputs_hash, made, now())
        return made

    def decide(self, name: str, inputs: Any, kind: type[R], decide: Callable[[], R]) -> R:
        """What was decided before with the same inputs, else what `decide` says now. It is kept, so that a run that
        finds everything unchanged takes the same way, and is not told of as a step."""
        inputs_hash = content_id([name, inputs])
        kept = None if self._fresh else self._store.step_result(name, inputs_hash, kind)
        if kept is not None:
            return kept
        decided = decide()
        self._check()
        self._store.finish_step(name, inputs_hash, decided, now())
        return decided

    def _numbered(self, title: str) -> str:
        return f"[{len(self.times) + 1}] {title}"


# How every journey begins: the traffic is read, and a dataset built of it.

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
