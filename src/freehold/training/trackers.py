"""A run's numbers in the tools people watch runs with: TensorBoard, Weights & Biases (offline), MLflow (local files).

Thin: each takes the events of a run as they come. They write next to the run and nothing leaves the machine: W&B is
kept offline (``wandb sync`` sends it, if you want that), MLflow gets a file store unless ``MLFLOW_TRACKING_URI`` says
otherwise.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from freehold.errors import MissingExtraError
from freehold.training.job import Job
from freehold.types.config import TrackerName
from freehold.types.training import TrainingEvent

_MODULES: dict[TrackerName, str] = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}


class Tracker(Protocol):
    """Something that takes numbers of a run."""

    def add(self, numbers: dict[str, float], step: int) -> None: ...

    def close(self) -> None: ...


class Trackers:
    """All trackers of a run. Called with every event; `close` at the end, whatever ended it."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = trackers

    def __call__(self, event: TrainingEvent) -> None:
        numbers = numbers_of(event)
        if numbers:
            for tracker in self._trackers:
                tracker.add(numbers, event.step)

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.close()


def numbers_of(event: TrainingEvent) -> dict[str, float]:
    """What an event says in numbers, under the names trackers show."""
    if event.kind == "step":
        named = {
            "train/loss": event.loss,
            "train/learning_rate": event.learning_rate,
            "train/tokens_per_second": event.tokens_per_second,
            "train/tokens": event.tokens,
            "train/epoch": event.epoch,
        }
    elif event.kind == "eval":
        named = {"validation/loss": event.loss, "validation/score": event.score}
    else:
        return {}
    return {name: float(value) for name, value in named.items() if value is not None}


def start(job: Job) -> Trackers:
    """The trackers a job asks for. Raises `MissingExtraError` when a library is missing."""
    made: list[Tracker] = []
    for name in job.config.trackers:
        if importlib.util.find_spec(_MODULES[name]) is None:
            raise MissingExtraError(f"writing for {name}", name)
        made.append(_START[name](job, Path(job.run_dir) / name))
    return Trackers(made)


def _options(job: Job) -> dict[str, Any]:
    options: dict[str, Any] = msgspec.to_builtins(job.config)
    return {**options, "base_model": job.base.model_id, "dataset": job.dataset.id}


class _TensorBoard:
    def __init__(self, job: Job, folder: Path) -> None:
        # Its own writer: PyTorch's would load PyTorch into this process.
        writer: Any = importlib.import_module("tensorboard.summary").Writer
        self._writer = writer(str(folder))

    def add(self, numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, job: Job, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        wandb: Any = importlib.import_module("wandb")
        self._run = wandb.init(
            project="freehold",
            name=job.name,
            id=job.id[:16],
            dir=str(folder),
            mode="offline",
            config=_options(job),
        )

    def add(self, numbers: dict[str, float], step: int) -> None:
        self._run.log(numbers, step=step)

    def close(self) -> None:
        self._run.finish()


class _Mlflow:
    def __init__(self, job: Job, folder: Path) -> None:
        mlflow: Any = importlib.import_module("mlflow")
        if "MLFLOW_TRACKING_URI" not in os.environ:
            mlflow.set_tracking_uri(folder.resolve().as_uri())
        mlflow.set_experiment("freehold")
        mlflow.start_run(run_name=job.name)
        mlflow.log_params({name: str(value)[:250] for name, value in _options(job).items()})
        self._mlflow = mlflow

    def add(self, numbers: dict[str, float], step: int) -> None:
        self._mlflow.log_metrics(numbers, step=step)

    def close(self) -> None:
        self._mlflow.end_run()


_START: dict[TrackerName, type[_TensorBoard] | type[_Wandb] | type[_Mlflow]] = {
    "tensorboard": _TensorBoard,
    "wandb": _Wandb,
    "mlflow": _Mlflow,
}
