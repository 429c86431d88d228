"""`freehold dataset`: traces in the store become an immutable dataset."""

from __future__ import annotations

from freehold import __version__
from freehold.datasets import building
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.dataset import Dataset
from freehold.types.record import content_id
from freehold.types.trace import Trace
from freehold.workflows.project import Project


def build(project: Project, *, source_prefix: str | None = None) -> Dataset:
    """Build a dataset from all complete traces (or those whose source starts with `source_prefix`).

    The same traces and the same recipe give the same dataset id and leave the folder untouched.
    Raises `UsageError` when there are no traces or a split would be empty.
    """
    data, task = project.config.data, project.config.task
    recipe = building.Recipe(
        held_out=data.held_out,
        validation=data.validation,
        seed=data.seed,
        group_by=task.group_by,
        limit=data.limit,
        held_out_limit=data.held_out_limit,
    )
    with open_store(project.store_url) as store:
        traces = sorted(
            (trace for trace in store.traces(source_prefix=source_prefix) if _teaches(trace)),
            key=lambda trace: trace.id,
        )
        if not traces:
            raise UsageError(
                "no complete traces in the store",
                hint="freehold import FILE brings some in; freehold up captures them from live traffic",
            )
        made = building.make_samples(traces, recipe)
        dataset = building.write(
            made,
            recipe,
            name=project.config.app.name,
            root=project.state / "datasets",
            made_from=(f"traces:{content_id([trace.id for trace in traces])}",),
            version=__version__,
            incumbent_model=_incumbent_model(project, traces[0].model),
        )
        store.put_record("dataset", dataset.id, dataset, made_from=dataset.made_from)
    return dataset


def _incumbent_model(project: Project, traced: str) -> str | None:
    return project.config.incumbent.model if project.config.incumbent else traced or None


def latest(project: Project) -> Dataset:
    """The dataset built last. Raises `UsageError` when there is none."""
    with open_store(project.store_url) as store:
        dataset = store.latest_record("dataset", Dataset)
    if dataset is None:
        raise UsageError("no dataset yet", hint="freehold dataset build makes one from the traces")
    return dataset


def all_datasets(project: Project) -> list[Dataset]:
    """Every dataset of the project, oldest first."""
    with open_store(project.store_url) as store:
        return list(store.list_records("dataset", Dataset))


def _teaches(trace: Trace) -> bool:
    """Is the answer the incumbent's (or was it corrected), and no error? Mirrored requests repeat another's."""
    return (
        trace.kind == "chat"
        and trace.parent_id is None
        and trace.status < 400
        and (trace.arm == "incumbent" or trace.gold is not None)
    )
