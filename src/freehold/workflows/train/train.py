"""`freehold train`: a dataset and a base become an adapter that the project owns."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import training
from freehold.errors import InputError, UsageError
from freehold.progress import Progress
from freehold.settings import Settings
from freehold.store import open_store
from freehold.training import artefacts
from freehold.training.job import check_name
from freehold.training.schedule import check
from freehold.types.config import DEFAULT_MODEL, FinetuneConfig, ProjectConfig
from freehold.types.dataset import Dataset
from freehold.types.machine import Fit, Machine
from freehold.types.model import Weights
from freehold.types.training import Adapter, TrainingEvent
from freehold.visible import gib
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.fit.placing import SampleLengths, training_fit
from freehold.workflows.project import Project
from freehold.workflows.weights.pull import ensure_weights
from freehold.workflows.weights.trained import check_writes

log = logging.getLogger(__name__)


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
    """Train an adapter in a child process, or return it when the same job has been done before.

    An interrupted job goes on from its checkpoint. Raises `TrainingError`, `WeightsError`, `InputError`,
    `StorageError` and `MissingExtraError`, each with the way out.
    """
    check(config)
    job = training.make(
        config=config,
        dataset=dataset,
        base=base,
        out_dir=out_dir,
        name=name,
        threads=settings.threads,
    )
    done = training.finished_adapter(job)
    if done is not None:
        log.info("run %s is done already", done.id)
        progress.say(f"adapter {done.name} is there already: {done.path}")
        return done
    check_room(config, base, settings)
    progress.update(0, None, unit="steps", note=f"loading {base.model_id}")
    try:
        # Closed at once when this is interrupted: the worker then writes its checkpoint.
        with contextlib.closing(training.train(job)) as events:
            try:
                follow(events, progress)
            except KeyboardInterrupt:
                progress.say("stopping: what was learned is kept, which takes up to half a minute")
                raise
    except KeyboardInterrupt:
        if (Path(job.run_dir) / artefacts.FILE).exists():
            progress.say("a checkpoint is written: the same command goes on from there")
        raise
    adapter = training.finished_adapter(job)
    if adapter is None:
        raise InputError("the trainer ended without a whole adapter", path=job.adapter_dir)
    return adapter


FIXED = ("weights", "joined_weights", "adapter", "gradients", "optimizer", "process")
"""Parts of a run's memory that computing less at once does not make smaller."""


def check_room(config: FinetuneConfig, base: Weights, settings: Settings) -> None:
    """Raise `UsageError` where the base with its adapter is larger than what is free, whatever is computed at once.

    Without this the system kills the trainer, or another program, again and again before it gives up. A base whose
    sizes can't be read is left to the trainer.
    """
    try:
        needed, fit = least_room(config, base.model_id, settings, weights=base)
    except (InputError, UsageError):
        return
    if needed > fit.available_bytes:
        ways = [
            way.replace("--train ", "[train] method = ")
            for way in fit.ways_out
            if way.startswith(("qlora", "lora"))
        ]
        raise UsageError(
            f"{base.model_id} needs {gib(needed, 1)} to be trained ({config.method}) before anything is "
            f"computed, {gib(fit.available_bytes, 1)} are free",
            hint="; ".join([*ways, "take a smaller base, or free some memory"]),
        )


def least_room(
    config: FinetuneConfig,
    model: str,
    settings: Settings,
    *,
    weights: Weights | None = None,
    machine: Machine | None = None,
) -> tuple[int, Fit]:
    """Bytes that a training takes whatever is computed at once, and the fit that counts them. Raises as
    `training_fit`."""
    fit = training_fit(
        model,
        config=msgspec.structs.replace(config, batch_size=1),
        lengths=SampleLengths(2, learned_tokens=1),
        settings=settings,
        machine=machine,
        weights=weights,
        checkpointing=True,
    )
    return sum(part.bytes for part in fit.parts if part.name in FIXED), fit


def follow(events: Iterable[TrainingEvent], progress: Progress) -> None:
    """Show what a trainer tells as it comes."""
    for event in events:
        if event.kind == "step" and event.loss is None:
            unit = "texts" if event.steps else ""
            progress.update(event.step, event.steps or None, unit=unit, note=event.message or "")
        elif event.kind == "step":
            speed = "" if event.tokens_per_second is None else f", {event.tokens_per_second:,.0f} tokens/s"
            memory = "" if event.peak_memory_bytes is None else f", {gib(event.peak_memory_bytes, 1)}"
            progress.update(
                event.step, event.steps, unit="steps", note=f"loss {event.loss:.3f}{speed}{memory}"
            )
        elif event.kind == "eval" and event.loss is not None:
            progress.say(f"step {event.step}: {event.message} {event.loss:.4f}")
        elif event.kind in ("start", "eval") and event.message:
            progress.say(event.message)
        elif event.kind == "warning" and event.message:
            progress.say(f"warning: {event.message}")


class TrainingInputs(NamedTuple):
    """What a project is to be trained with."""

    dataset: Dataset
    base: Weights
    name: str


def training_inputs(
    project: Project, *, base: str | None, dataset: str | None, name: str | None, progress: Progress
) -> TrainingInputs:
    """The project's latest dataset, its first candidate that learns by its weights and its own name, unless others are
    given.

    Raises `UsageError` where no candidate writes text, for a base that does not and for such a name, and what
    `ensure_weights` raises.
    """
    name = project.config.app.name if name is None else name
    check_name(name)
    with open_store(project.store_url) as store:
        data = find_dataset(store, dataset)
    if base is None:
        if (learner := project.config.learner()) is None:
            raise UsageError(
                "no candidate here writes text, so there is no model to train an adapter on",
                hint=f"--base {DEFAULT_MODEL}, or another one; encoders are trained by freehold migrate",
            )
        base = learner.model
    check_writes(base)
    weights = ensure_weights(base, project.settings, progress=progress)
    check_writes(base, weights)
    return TrainingInputs(data, weights, name)


def options_for(config: ProjectConfig, base: str | None = None) -> FinetuneConfig:
    """`[train]`, with what the candidate says of itself that is trained: `base`'s, or the first that learns so. As
    `freehold migrate` would train it."""
    learner = config.learner(base)
    return config.train if learner is None else config.train_of(learner)


def train_project(
    project: Project, inputs: TrainingInputs, *, config: FinetuneConfig, progress: Progress
) -> Adapter:
    """Train for a project and keep the record."""
    adapter = train(
        config=config,
        dataset=inputs.dataset,
        base=inputs.base,
        out_dir=project.state / "adapters",
        name=inputs.name,
        settings=project.settings,
        progress=progress,
    )
    with open_store(project.store_url) as store:
        store.put(adapter, made_from=adapter.made_from)
    return adapter
