"""`freehold train --search`: rank, rate and epochs by successive halving on the validation split.

Many pairs of rank and rate are tried for a quarter of the epochs, the better half goes on with twice as many, and so on
(successive halving: Jamieson & Talwalkar 2016, arXiv:1502.07943). At the end the best is tried twice as long, because
the right number of epochs is a question of its own. Every trial is a training job like any other, so a stopped search
goes on where it was, and a trial that was done is not done again. The held-out split is never looked at.
"""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files, training
from freehold.errors import TrainingError, UsageError
from freehold.store import open_store
from freehold.training import defaults
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset
from freehold.types.model import Weights
from freehold.types.progress import Progress
from freehold.types.record import content_id
from freehold.types.training import Search, SearchTrial, TrainingResult
from freehold.workflows.project import Project
from freehold.workflows.train.train import train

log = logging.getLogger(__name__)

FEWEST_VALIDATION = 16
"""Fewer validation samples can't tell one trial from another."""
TRIALS = 8
RUNGS = 3
RANKS = (1.0, 0.5, 2.0, 4.0)
RATES = (1.0, 0.4, 2.0)
"""Factors on the configured rank and rate; their pairs are tried in `grid_around`'s order."""


class SearchOutcome(NamedTuple):
    """How a search ended, and the best adapter, under its name among the project's."""

    search: Search
    adapter: TrainingResult


def grid_around(config: FinetuneConfig, count: int) -> list[FinetuneConfig]:
    """`count` configurations around the given one, which is the first: nearest factors first, alpha kept in step
    with the rank."""
    grid = [(rank, rate) for rank in range(len(RANKS)) for rate in range(len(RATES))]
    grid.sort(key=lambda place: (place[0] + place[1], place[0]))
    made: list[FinetuneConfig] = []
    for rank, rate in grid:
        r = max(1, round(config.r * RANKS[rank]))
        one = msgspec.structs.replace(
            config,
            r=r,
            lora_alpha=max(1, round(config.lora_alpha * r / config.r)),
            learning_rate=config.learning_rate * RATES[rate],
        )
        if one not in made:
            made.append(one)
    return made[:count]


def halving(count: int, epochs: float, rungs: int = RUNGS) -> list[tuple[int, float]]:
    """Trials and epochs of each rung: half as many trials, twice as long, up to the configured epochs."""
    plan = []
    for rung in range(rungs):
        plan.append((max(1, count >> rung), epochs / 2 ** (rungs - 1 - rung)))
    return plan


def search(
    project: Project,
    *,
    config: FinetuneConfig,
    dataset: Dataset,
    base: Weights,
    name: str,
    trials: int = TRIALS,
    progress: Progress,
) -> SearchOutcome:
    """Search, keep the record, and add the best adapter to the project's.

    `config.max_minutes` bounds the whole search: no further trial is started after it. Raises `UsageError` for a
    validation split that can't judge, `TrainingError` when no trial could be trained, and what `train` raises.
    """
    validation = dataset.split("validation").samples
    if validation < FEWEST_VALIDATION:
        raise UsageError(
            f"the validation split has {validation} samples, a search needs at least {FEWEST_VALIDATION}",
            hint="raise [data] validation (0.1 or 0.2), then freehold dataset build",
        )
    if trials < 2:
        raise UsageError(f"a search needs at least 2 trials, not {trials}", hint="--trials 8")
    config = defaults.resolved(config, base, dataset.split("train").samples)
    run = _HyperparameterSearch(project, config, dataset, base, name, progress, time.monotonic())
    going = grid_around(config, trials)
    for rung, (count, epochs) in enumerate(halving(len(going), config.epochs)):
        ranked: list[tuple[tuple[float, float], FinetuneConfig]] = []
        for number, one in enumerate(going[:count]):
            if run.is_over():
                break
            progress.step(
                f"rung {rung + 1} of {RUNGS}, trial {number + 1} of {min(count, len(going))}",
                note=_describe(one),
            )
            trial = run.run_trial(rung, msgspec.structs.replace(one, epochs=epochs))
            if trial.failed is None:
                ranked.append((_rank_key(trial), one))
        ranked.sort(key=lambda pair: pair[0], reverse=True)
        going = [one for _, one in ranked]
        if not going:
            break
    if going and not run.is_over():
        longer = msgspec.structs.replace(going[0], epochs=2 * config.epochs)
        progress.step("the best, twice as long", note=_describe(longer))
        run.run_trial(RUNGS, longer)
    return run.outcome()


class _HyperparameterSearch:
    def __init__(
        self,
        project: Project,
        config: FinetuneConfig,
        dataset: Dataset,
        base: Weights,
        name: str,
        progress: Progress,
        began: float,
    ) -> None:
        self.project, self.dataset, self.base, self.name = project, dataset, base, name
        self.progress, self.began = progress, began
        self.minutes = config.max_minutes
        self.folder = project.state / "searches" / content_id([config, dataset.id, base.sha256])[:12]
        self.trials: list[SearchTrial] = []
        self.stopped = False

    def is_over(self) -> bool:
        """Whether the time is up; noted, because the search is then not complete."""
        if self.minutes is not None and self.trials and time.monotonic() - self.began > 60 * self.minutes:
            self.stopped = True
        return self.stopped

    def run_trial(self, rung: int, config: FinetuneConfig) -> SearchTrial:
        """Train one configuration; a loss that is not a number is a failed trial, other errors are raised."""
        plain = msgspec.structs.replace(config, max_minutes=None)
        blank = SearchTrial(rung=rung, r=config.r, learning_rate=config.learning_rate, epochs=config.epochs)
        try:
            adapter = train(
                config=plain,
                dataset=self.dataset,
                base=self.base,
                out_dir=self.folder,
                name="trial",
                settings=self.project.settings,
                progress=self.progress,
            )
        except TrainingError as error:
            if "not a number" not in error.message and "rank r=" not in error.message:
                raise
            log.info("rank %d at rate %g fails: %s", config.r, config.learning_rate, error.message)
            trial = msgspec.structs.replace(blank, failed=error.message)
        else:
            trial = msgspec.structs.replace(
                blank,
                validation_loss=adapter.metadata.get("validation_loss"),
                validation_score=adapter.metadata.get("validation_score"),
                steps=adapter.steps,
                seconds=adapter.train_seconds,
                adapter_id=adapter.id,
                path=adapter.path,
            )
        self.trials.append(trial)
        return trial

    def outcome(self) -> SearchOutcome:
        """The record of the search and its best adapter."""
        done = [(place, trial) for place, trial in enumerate(self.trials) if trial.failed is None]
        if not done:
            said = self.trials[0].failed if self.trials else "no trial was made"
            raise TrainingError(f"no trial could be trained; the first: {said}", hint="lower learning_rate")
        best, chosen = max(done, key=lambda pair: _rank_key(pair[1]))
        assert chosen.path is not None
        adapter = self._keep(Path(chosen.path))
        made = Search(
            id=content_id([self.trials, self.dataset.id, self.base.sha256]),
            base_model=self.base.model_id,
            dataset_id=self.dataset.id,
            trials=tuple(self.trials),
            best=best,
            complete=not self.stopped,
            made_from=(self.dataset.id, self.base.sha256),
        )
        with open_store(self.project.store_url) as store:
            store.put(made, made_from=made.made_from)
            store.put(adapter, made_from=adapter.made_from)
        return SearchOutcome(made, adapter)

    def _keep(self, trial: Path) -> TrainingResult:
        """Copy the best trial among the project's adapters, under the name a run of its own would have given it."""
        found = training.read_manifest(trial)
        assert found is not None
        job = training.make(
            config=found.config,
            dataset=self.dataset,
            base=self.base,
            out_dir=self.project.state / "adapters",
            name=self.name,
        )
        target = Path(job.adapter_dir)
        partial = target.with_name(target.name + ".partial")
        with files.writing(
            f"{target}: the best adapter cannot be copied there",
            hint=f"free some space, then run it again; it lies in {trial}",
        ):
            if training.finished_adapter(job) is None:
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(trial, partial)
                named = msgspec.structs.replace(found, name=self.name, path=str(target))
                (partial / "adapter.json").write_bytes(msgspec.json.format(msgspec.json.encode(named)))
                shutil.rmtree(target, ignore_errors=True)
                partial.rename(target)
        kept = training.finished_adapter(job)
        assert kept is not None
        return kept


def _rank_key(trial: SearchTrial) -> tuple[float, float]:
    """Higher is better: the share of right answers, then the lower loss."""
    loss = trial.validation_loss
    return trial.validation_score or 0.0, -(loss if loss is not None else float("inf"))


def _describe(config: FinetuneConfig) -> str:
    return f"r={config.r}, rate {config.learning_rate:g}, {config.epochs:g} epochs at the end"
