"""Projects whose mixtures are planned on a selection split and tested in their order on held-out samples, as arrays;
the truth is known exactly.

A story says how often a candidate loses and wins against the incumbent at each quantile u of its confidence, in cells
of a thousandth. The loss of the mixture at any threshold is then a sum over cells, without sampling error. Thresholds
are chosen by rank, so what a confidence claims in figures changes nothing in them: a confidence is wrong here where
it is high for wrong answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.calibration.samples import clustered_decisions
from freehold.stats import exact
from freehold.stats.binary import Floats, tango_statistic
from freehold.stats.deferral import SPENT_OF_MARGIN, grid
from freehold.stats.rules import STRICT

ALPHA = 0.025
LEAST_SHARE = 0.2
CELLS = 1000
FIVES = 5
_ITEMS = 2_000_000
_JITTER = 0.1  # how far messages of one user lie apart in confidence


class Story(NamedTuple):
    """Rates of losses and wins in each cell of confidence, the least sure first."""

    name: str
    loss: Floats
    win: Floats

    def below(self, share: Floats) -> tuple[Floats, Floats]:
        """Rates of wins and losses of the whole mixture when the surest `share` is answered, exactly."""
        steps = np.linspace(0, 1, CELLS + 1)
        found = [
            np.interp(share, steps, np.concatenate([[0.0], np.cumsum(rates[::-1])]) / CELLS)
            for rates in (self.win, self.loss)
        ]
        return found[0], found[1]

    def true_loss(self, share: Floats) -> Floats:
        """What the mixture loses against the incumbent (negative: it gains)."""
        wins, losses = self.below(share)
        return losses - wins


class Plan(NamedTuple):
    """Sizes of both splits, the margin, and whether samples come in fives of one user."""

    selection: int
    held_out: int
    margin: float
    clustered: bool = False


def story(name: str, loss: Callable[[Floats], Floats], win: float = 0.01) -> Story:
    """A story by its rate of losses at confidence u in [0, 1]."""
    u = (np.arange(CELLS) + 0.5) / CELLS
    return Story(name, np.broadcast_to(np.clip(loss(u), 0, 1 - win), u.shape).copy(), np.full(CELLS, win))


class Told(NamedTuple):
    """For each project: the true share of the largest step that was promoted (0: none, 1: the candidate alone), whether
    one that loses more than the margin was, and the share that is taken with its true loss."""

    proven: np.ndarray
    beyond: np.ndarray
    taken: np.ndarray
    lost: np.ndarray


def tell(rng: np.random.Generator, one: Story, plan: Plan, projects: int) -> Told:
    """From plan to the look, `projects` times."""
    size = max(1, _ITEMS // max(plan.selection, plan.held_out))
    parts = [_batch(rng, one, plan, min(size, projects - done)) for done in range(0, projects, size)]
    return Told(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def drawn(
    rng: np.random.Generator, one: Story, plan: Plan, projects: int, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Confidences and differences of `n` samples for each project; in fives, samples share their luck half of the
    time."""
    u = rng.random((projects, n))
    luck = rng.random((projects, n), dtype=np.float32)
    if plan.clustered:
        users = np.repeat(np.arange(n // FIVES), FIVES)
        alike = rng.random((projects, n), dtype=np.float32) < np.sqrt(0.5)
        u = (
            np.where(alike, u[:, users], rng.random((projects, n))) + _JITTER * rng.random((projects, n))
        ) % 1
        luck = np.where(alike, luck[:, users], rng.random((projects, n), dtype=np.float32))
    cell = (u * CELLS).astype(np.int16)
    return u, (luck < one.win[cell]).astype(np.int8) - (luck > 1 - one.loss[cell]).astype(np.int8)


def counts_of(n: int) -> np.ndarray:
    """Numbers of answered samples at the thresholds, as the product's where no two signals are equal; all of them, the
    candidate alone, last."""
    return np.array(grid(np.arange(float(n)), LEAST_SHARE))


def _batch(rng: np.random.Generator, one: Story, plan: Plan, projects: int) -> Told:
    u, d = drawn(rng, one, plan, projects, plan.selection)
    order = np.argsort(-u, axis=1)
    u, d = np.take_along_axis(u, order, 1), np.take_along_axis(d, order, 1)
    counts = counts_of(plan.selection)
    cuts = (u[:, counts - 1] + u[:, np.minimum(counts, plan.selection - 1)]) / 2
    cuts[:, -1] = 0.0
    expected = np.cumsum(d, axis=1)[:, counts - 1] / plan.selection
    promoted = tested(*drawn(rng, one, plan, projects, plan.held_out), cuts, plan)
    rows, last = np.arange(projects), promoted.sum(axis=1) - 1
    cheap = promoted & (expected >= -plan.margin * SPENT_OF_MARGIN)
    place = np.where(cheap.any(axis=1), cuts.shape[1] - 1 - cheap[:, ::-1].argmax(axis=1), last)
    proven = np.where(last >= 0, 1 - cuts[rows, last], 0.0)
    taken = np.where(last >= 0, 1 - cuts[rows, place], 0.0)
    beyond = (promoted & (one.true_loss(1 - cuts) > plan.margin + STRICT)).any(axis=1)
    return Told(proven, beyond, taken, one.true_loss(taken))


def tested(u: np.ndarray, d: np.ndarray, cuts: np.ndarray, plan: Plan) -> np.ndarray:
    """Which steps are promoted in each project: by rising share, to the first that is not."""
    n = plan.held_out
    going = np.ones(len(u), dtype=bool)
    found = np.zeros(cuts.shape, dtype=bool)
    critical = 0.0 if plan.clustered else exact.critical_value(n, -plan.margin, ALPHA)
    for step in range(cuts.shape[1]):
        mixed = np.where(u >= cuts[:, step, None], d, 0)
        if plan.clustered:
            sizes, starts = np.full(n // FIVES, FIVES), np.arange(0, n, FIVES)
            going &= clustered_decisions(mixed, sizes, starts, margin=plan.margin, alpha=ALPHA)[0]
        else:
            wins, losses = (mixed > 0).sum(axis=1), (mixed < 0).sum(axis=1)
            going &= np.asarray(tango_statistic(wins, losses, n, -plan.margin) >= critical)
        found[:, step] = going
    return found


def oracle(one: Story, margin: float) -> float:
    """The largest share whose true loss is within the margin."""
    shares = np.linspace(0, 1, CELLS + 1)
    return float(shares[one.true_loss(shares) <= margin + STRICT].max())
