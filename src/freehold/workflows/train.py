"""`freehold train`: a dataset and a base become an adapter that the project owns."""

from __future__ import annotations

from pathlib import Path

import msgspec

from freehold import training
from freehold.datasets import building
from freehold.errors import InputError, UsageError
from freehold.settings import Settings
from freehold.store import open_store
from freehold.types.dataset import Dataset
from freehold.types.model import Weights
from freehold.types.progress import Progress
from freehold.types.training import Adapter, FinetuneConfig
from freehold.workflows import dataset as datasets
from freehold.workflows.project import Project
from freehold.workflows.pull import ensure_weights


def train(
    *,
    config: FinetuneConfig,
    dataset: Dataset,
    base: Weights,
    out_dir: Path,
    name: str,
    settings: Settings,
    progress: Progress,
) -> Adapter:
    """Train an adapter in a child process, or return it when this very job has been done before.

    An interrupted job goes on from its checkpoint. Raises `TrainingError`, `WeightsError`, `InputError`,
    `StorageError` and `MissingExtraError`, each with the way out.
    """
    if config.threads is None and settings.threads is not None:
        config = msgspec.structs.replace(config, threads=settings.threads)
    job = training.make(config=config, dataset=dataset, base=base, out_dir=out_dir, name=name)
    done = training.finished(job)
    if done is not None:
        progress.say(f"adapter {done.name} is there already: {done.path}")
        return done
    progress.update(0, None, unit="steps", note=f"loading {base.model_id}")
    for event in training.train(job):
        if event.kind == "step":
            speed = "" if event.tokens_per_second is None else f", {event.tokens_per_second:,.0f} tokens/s"
            memory = "" if event.peak_memory_bytes is None else f", {event.peak_memory_bytes / 2**30:.1f} GiB"
            progress.update(
                event.step, event.steps, unit="steps", note=f"loss {event.loss:.3f}{speed}{memory}"
            )
        elif event.kind == "start" and event.message:
            progress.say(event.message)
        elif event.kind == "eval":
            progress.say(f"step {event.step}: {event.message} {event.loss:.4f}")
        elif event.kind == "warning" and event.message:
            progress.say(f"warning: {event.message}")
    adapter = training.finished(job)
    if adapter is None:
        raise InputError("the trainer ended without a whole adapter", path=job.adapter_dir)
    return adapter


def train_project(
    project: Project,
    *,
    config: FinetuneConfig,
    base: str | None,
    dataset: str | None,
    name: str | None,
    progress: Progress,
) -> Adapter:
    """Train for a project: its latest dataset and its first candidate unless others are named."""
    data = datasets.latest(project) if dataset is None else find_dataset(project, dataset)
    weights = ensure_weights(base or project.config.candidates.models[0], project.settings, progress=progress)
    adapter = train(
        config=config,
        dataset=data,
        base=weights,
        out_dir=project.state / "adapters",
        name=name or project.config.app.name,
        settings=project.settings,
        progress=progress,
    )
    with open_store(project.store_url) as store:
        store.put_record("adapter", adapter.id, adapter, made_from=adapter.made_from)
    return adapter


def find_dataset(project: Project, wanted: str) -> Dataset:
    """A dataset by id (or its beginning), name or folder. Raises `UsageError` when there is none."""
    folder = Path(wanted)
    if (folder / "manifest.json").is_file():
        return msgspec.structs.replace(building.load(folder), path=str(folder.resolve()))
    known = datasets.all_datasets(project)
    for one in reversed(known):
        if one.id.startswith(wanted) or one.name == wanted:
            return one
    raise UsageError(
        f"no dataset {wanted}",
        hint=f"known: {', '.join(sorted({one.name for one in known}))}"
        if known
        else "freehold dataset build makes one",
    )
