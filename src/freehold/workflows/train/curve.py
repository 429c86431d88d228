"""`freehold train --curve`: would more training samples help, and how much?

The same training is run on an eighth (not of few samples of many labels), a quarter, half and all of the train split,
each part within the next, and each is asked the same validation samples. A curve through the points foretells accuracy
at twice the samples. The held-out split is never looked at. Every run is a training job like any other, so a stopped
curve goes on where it was, and the last of them is the adapter that `freehold train` makes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from freehold import __version__
from freehold.datasets import building
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.training import options
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset, Sample, SplitName
from freehold.types.progress import Progress
from freehold.types.record import content_id
from freehold.types.training import CurveRun, TrainingCurve, TrainingResult
from freehold.workflows.project import Project
from freehold.workflows.train.learning_curve import LearnedPoint, fit, foretell, sizes
from freehold.workflows.train.train import TrainingInputs, train

FEWEST_SAMPLES = 64
FEWEST_VALIDATION = 50
"""Fewer validation samples leave an interval that says nothing."""


def training_curve(
    project: Project, inputs: TrainingInputs, *, config: FinetuneConfig, progress: Progress
) -> TrainingCurve:
    """Train on parts of the train split, foretell twice of it, and keep the record.

    Raises `UsageError` for splits that are too small and for `max_minutes`, and what `train` raises.
    """
    if config.max_minutes is not None:
        raise UsageError(
            f"max_minutes = {config.max_minutes:g} would cut the runs on many samples short and not those on few: the "
            "curve would show time, not samples",
            hint="take max_minutes out; [train] epochs = 2 makes every run shorter alike",
        )
    dataset = inputs.dataset
    total, validation = dataset.split("train").samples, dataset.split("validation").samples
    if total < FEWEST_SAMPLES or validation < FEWEST_VALIDATION:
        raise UsageError(
            f"a learning curve needs {FEWEST_SAMPLES} training and {FEWEST_VALIDATION} validation samples, there are "
            f"{total} and {validation}",
            hint="raise [data] validation (0.1 or 0.2), then freehold dataset build",
        )
    # The same options for all points: chosen for the whole split, not for each part.
    config = options.resolved(config, inputs.base, total)
    order = list(range(total))
    random.Random(config.seed).shuffle(order)
    runs = []
    parts = sizes(total, len({one.target for one in building.samples(dataset, "train")}))
    for number, size in enumerate(parts, 1):
        progress.step(f"train on {size:,} of {total:,} samples", note=f"{number} of {len(parts)}")
        smaller = dataset if size == total else _part(project, dataset, order[:size])
        out = project.state / ("adapters" if size == total else "curves")
        made = train(
            config=config,
            dataset=smaller,
            base=inputs.base,
            out_dir=out,
            name=inputs.name,
            settings=project.settings,
            progress=progress,
        )
        runs.append(_run(size, made))
    return _kept(project, inputs, runs, made)


def _part(project: Project, dataset: Dataset, places: Sequence[int]) -> Dataset:
    """A dataset of these samples of the train split, in the order of the split, and the same validation split."""
    wanted = set(places)
    train_samples = [one for place, one in enumerate(building.samples(dataset, "train")) if place in wanted]
    by_split: dict[SplitName, list[Sample]] = {
        "train": train_samples,
        "validation": list(building.samples(dataset, "validation")),
        "held_out": [],
    }
    return building.write(
        building.Building(by_split=by_split, dropped=Counter()),
        building.Recipe(),
        name=dataset.name,
        root=project.state / "curves" / "datasets",
        made_from=(dataset.id,),
        version=__version__,
        incumbent_model=dataset.incumbent_model,
    )


def _run(size: int, made: TrainingResult) -> CurveRun:
    score, asked = made.metadata.get("validation_score"), made.metadata.get("validation_samples")
    if not isinstance(score, int | float) or not isinstance(asked, int) or not asked:
        raise UsageError(
            f"the run on {size} samples tells no share of right answers",
            hint="raise [data] validation (0.1 or 0.2), then freehold dataset build",
        )
    return CurveRun(
        samples=size, right=round(score * asked), asked=asked, seconds=made.train_seconds, adapter_id=made.id
    )


def _kept(
    project: Project, inputs: TrainingInputs, runs: Sequence[CurveRun], whole: TrainingResult
) -> TrainingCurve:
    points = [LearnedPoint(one.samples, one.right, one.asked) for one in runs]
    curve, twice = fit(points), foretell(points, 2 * runs[-1].samples)
    made = TrainingCurve(
        id=content_id([runs, inputs.dataset.id, inputs.base.sha256]),
        base_model=inputs.base.model_id,
        dataset_id=inputs.dataset.id,
        runs=tuple(runs),
        ceiling=curve.ceiling,
        scale=curve.scale,
        rate=curve.rate,
        fits=curve.fits,
        twice_samples=twice.samples,
        twice_accuracy=twice.accuracy,
        twice_low=twice.low,
        twice_high=twice.high,
        made_from=(inputs.dataset.id, inputs.base.sha256),
    )
    with open_store(project.store_url) as store:
        store.put(whole, made_from=whole.made_from)
        store.put(made, made_from=made.made_from)
    return made
