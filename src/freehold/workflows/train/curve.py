"""`freehold train --curve`: would more training samples help, and how much?

The same training is run on an eighth (not of few samples of many labels), a quarter, half and all of the train split,
each part within the next, and each is asked the same validation samples. A curve through the points foretells accuracy
at twice the samples. The held-out split is never looked at. Every run is a training job like any other, so a stopped
curve goes on where it was, and the last of them is the adapter that `freehold train` makes.

The error falls as an inverse power of the number of samples towards a floor, ``1 - accuracy = floor + scale n^-rate``
(Hestness et al. 2017, arXiv 1712.00409; for which curves this is a good description, and for which not: Viering & Loog
2021, arXiv 2103.10948). It is fitted by least squares weighted with the binomial variance of each point, with all three
numbers bounded, over a grid of rates; for each rate the other two follow in closed form. The interval is a parametric
bootstrap: the counts are drawn again from the fitted curve, which is fitted to them again.

Not covered: curves that fall, and steps (a skill that appears at once): where the points lie off the fitted curve by
more than chance, `fits` is false.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from freehold import __version__
from freehold.datasets import building
from freehold.datasets.sampling import Recipe
from freehold.errors import UsageError
from freehold.late import np, special
from freehold.progress import Progress
from freehold.store import open_store
from freehold.training import schedule
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Dataset, Sample, SplitName
from freehold.types.record import content_id
from freehold.types.training import CurveRun, TrainingCurve, TrainingResult
from freehold.workflows.project import Project
from freehold.workflows.train.train import TrainingInputs, train

if TYPE_CHECKING:
    import numpy.typing as npt


Floats: TypeAlias = "npt.NDArray[np.float64]"

FEWEST_POINTS = 3
_PARTS = (8, 4, 2, 1)
_SLOWEST, _FASTEST, _RATE_STEP = 0.05, 2.0, 0.025
_DRAWS = 400
_LEVEL = 0.95
_MISFIT_P = 0.001


class LearnedPoint(NamedTuple):
    """Of `asked` validation items, `right` were right after training on `samples`."""

    samples: int
    right: int
    asked: int

    @property
    def accuracy(self) -> float:
        """Share of items that were right."""
        return self.right / self.asked


class LearningCurve(NamedTuple):
    """``accuracy(n) = ceiling - scale n^-rate``. `fits`: the points lie on it as far as chance goes."""

    ceiling: float
    scale: float
    rate: float
    fits: bool

    def accuracy(self, samples: float) -> float:
        """Expected accuracy after training on `samples`."""
        return float(np.clip(self.ceiling - self.scale * samples**-self.rate, 0.0, 1.0))


class Foretold(NamedTuple):
    """Expected accuracy after training on `samples`, with its interval. It is of items like the validation items."""

    samples: int
    accuracy: float
    low: float
    high: float


def sizes(samples: int, answers: int) -> tuple[int, ...]:
    """On how many of `samples` to train for a curve, smallest first: an eighth, a quarter, half and all of them.

    Where the answers are of a closed set (a quarter of the samples or fewer are different), no part is smaller than
    their number: a part that has not seen many of the labels is not on the way of the others, and what it foretells is
    too low by up to 5 points (Banking77, 77 labels, 512 samples: `benchmarks/training/learning_curve.py`).
    """
    found = [samples // part for part in _PARTS]
    closed = answers <= samples // 4
    return tuple(size for size in found if not closed or size >= answers)


def fit(points: Sequence[LearnedPoint]) -> LearningCurve:
    """The curve through `points`. Raises `UsageError` for fewer than three numbers of samples or impossible counts."""
    n, right, asked = _columns(points)
    floor, scale, rate, misfit = _fitted(n, right[None, :], asked)[0].tolist()
    freedom = max(1, len(points) - 3)
    fits = bool(special.gammaincc(freedom / 2, misfit / 2) >= _MISFIT_P)
    return LearningCurve(1 - floor, scale, rate, fits)


def foretell(points: Sequence[LearnedPoint], samples: int, *, seed: int = 0) -> Foretold:
    """What training on `samples` would bring, with a 95 % interval. Raises `UsageError` as `fit`."""
    curve, (n, _, asked) = fit(points), _columns(points)
    expected = [curve.accuracy(one) for one in n]
    drawn = np.random.default_rng(seed).binomial(asked.astype(np.int64), expected, size=(_DRAWS, len(n)))
    floor, scale, rate, _ = _fitted(n, drawn.astype(np.float64), asked).T
    again = np.clip(1 - floor - scale * float(samples) ** -rate, 0.0, 1.0)
    low, high = np.quantile(again, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Foretold(samples, curve.accuracy(samples), float(low), float(high))


def _columns(points: Sequence[LearnedPoint]) -> tuple[Floats, Floats, Floats]:
    if len({one.samples for one in points}) < FEWEST_POINTS:
        raise UsageError(
            f"a learning curve needs {FEWEST_POINTS} different numbers of training samples, here are "
            f"{len({one.samples for one in points})}",
            hint="train on a quarter, a half and all of them, and ask the same validation items each time",
        )
    for one in points:
        if one.samples < 1 or not 0 <= one.right <= one.asked or one.asked < 1:
            raise UsageError(f"{one.right} of {one.asked} right after {one.samples} samples is impossible")
    ordered = sorted(points)
    columns = np.array(ordered, dtype=np.float64).T
    return columns[0], columns[1], columns[2]


def _fitted(n: Floats, right: Floats, asked: Floats) -> Floats:
    """Floor, scale, rate and weighted squared misfit for each row of `right`: at the rate that fits it best."""
    error = 1 - right / asked
    smooth = (right + 1) / (asked + 2)
    weight = asked / (smooth * (1 - smooth))
    rates = np.arange(_SLOWEST, _FASTEST + _RATE_STEP / 2, _RATE_STEP)
    tried = np.stack([_line(n**-rate, error, weight, rate) for rate in rates])
    return np.asarray(tried[tried[..., 3].argmin(axis=0), np.arange(len(right))])


def _line(x: Floats, y: Floats, weight: Floats, rate: float) -> Floats:
    """The weighted line ``y = floor + scale x`` of each row with both numbers at least 0: floor, scale, rate, misfit.

    Where the free line leaves the bounds, the better of the two lines on them is taken.
    """
    total = weight.sum(axis=1)
    mean_x, mean_y = (weight * x).sum(axis=1) / total, (weight * y).sum(axis=1) / total
    spread = (weight * (x - mean_x[:, None]) ** 2).sum(axis=1)
    slope = (weight * (x - mean_x[:, None]) * (y - mean_y[:, None])).sum(axis=1) / spread
    level = mean_y - slope * mean_x
    through_zero = (weight * x * y).sum(axis=1) / (weight * x * x).sum(axis=1)
    floor = np.where(slope < 0, mean_y, np.where(level < 0, 0.0, level))
    scale = np.where(slope < 0, 0.0, np.where(level < 0, through_zero, slope))
    misfit = (weight * (y - floor[:, None] - scale[:, None] * x) ** 2).sum(axis=1)
    return np.column_stack([floor, scale, np.full_like(floor, rate), misfit])


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
    config = schedule.resolved(config, inputs.base, total)
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
        Recipe(),
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
