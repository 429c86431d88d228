"""Projects whose mixture is planned on a selection split and looked at once, as arrays; the truth is known exactly.

A story says how often a candidate loses and wins against the incumbent at each quantile u of its confidence, in cells
of a thousandth. The loss of the mixture at any threshold is then a sum over cells, without sampling error. Thresholds
are chosen by rank, so what a confidence claims in figures changes nothing in them: a confidence is wrong here where
it is high for wrong answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from benchmarks.calibration.samples import clustered_decisions
from freehold.stats import exact
from freehold.stats.binary import Floats, tango_statistic
from freehold.stats.deferral.curve import STEPS
from freehold.stats.deferral.running import running_sums
from freehold.stats.deferral.threshold import MixtureTrial, passing
from freehold.stats.rules import STRICT
from freehold.stats.selection import LEAST_CHANCE

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

    @property
    def trial(self) -> MixtureTrial:
        return MixtureTrial(
            margin=self.margin, alpha=ALPHA, held_out=self.held_out, binary=True, clustered=self.clustered
        )


def story(name: str, loss: Callable[[Floats], Floats], win: float = 0.01) -> Story:
    """A story by its rate of losses at confidence u in [0, 1]."""
    u = (np.arange(CELLS) + 0.5) / CELLS
    return Story(name, np.broadcast_to(np.clip(loss(u), 0, 1 - win), u.shape).copy(), np.full(CELLS, win))


class Told(NamedTuple):
    """For each project: whether a threshold was chosen, the share it truly answers, its true loss beyond the margin,
    and whether the look said promote."""

    chosen: np.ndarray
    share: np.ndarray
    beyond: np.ndarray
    promoted: np.ndarray


def tell(rng: np.random.Generator, one: Story, plan: Plan, projects: int) -> Told:
    """From plan to the one look, `projects` times."""
    size = max(1, _ITEMS // plan.selection)
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


def _batch(rng: np.random.Generator, one: Story, plan: Plan, projects: int) -> Told:
    n = plan.selection
    u, d = drawn(rng, one, plan, projects, n)
    order = np.argsort(-u, axis=1)
    u, d = np.take_along_axis(u, order, 1), np.take_along_axis(d, order, 1).astype(float)
    codes = order // FIVES if plan.clustered else None
    places = choose(d, codes, plan)
    chosen = places >= 0
    counts = counts_of(n)[np.maximum(places, 0)]
    rows = np.arange(projects)
    cut = (u[rows, counts - 1] + u[rows, np.minimum(counts, n - 1)]) / 2
    share = np.where(chosen, 1 - cut, 0.0)
    beyond = chosen & (one.true_loss(share) > plan.margin)
    promoted = np.zeros(projects, dtype=bool)
    if chosen.any():
        promoted[chosen] = look(rng, one, plan, share[chosen])
    return Told(chosen, share, beyond, promoted)


def counts_of(n: int) -> np.ndarray:
    """Numbers of answered samples at the thresholds, as the product's where no two signals are equal."""
    return np.unique(np.maximum(np.round(np.arange(1, STEPS + 1) * n / STEPS), 1)).astype(np.int64)


def choose(d: Floats, codes: np.ndarray | None, plan: Plan) -> np.ndarray:
    """The place of the chosen threshold in each project, -1 where there is none; `d` ordered surest first."""
    n = plan.selection
    counts = counts_of(n)
    sums = running_sums(d, codes, counts)
    shares = counts / n
    eligible = (shares >= LEAST_SHARE) & (shares < 1)
    found = passing(sums, plan.trial, int(np.argmax(eligible)))
    above = sums.total / n > shares * d.mean(axis=1, keepdims=True)
    usable = np.isfinite(found.worth) & eligible & above & (beyond_random(d, codes) <= ALPHA)[:, None]
    best = np.where(usable, found.worth, -np.inf).argmax(axis=1)
    bad = (d < 0).sum(axis=1)
    return np.where(usable.any(axis=1) & (bad > 0) & (bad < n), best, -1)


def beyond_random(d: Floats, codes: np.ndarray | None) -> np.ndarray:
    """The product's p of "the signal tells nothing" for each project."""
    projects, n = d.shape
    ranks = np.arange(n, 0, -1) - (n + 1) / 2
    products = ranks * (d - d.mean(axis=1, keepdims=True))
    mean = products.mean(axis=1, keepdims=True)
    k, sums, sizes = n, products, 1
    if codes is not None:
        k, sizes = n // FIVES, FIVES
        flat = (codes + k * np.arange(projects)[:, None]).ravel()
        sums = np.bincount(flat, weights=products.ravel(), minlength=k * projects).reshape(projects, k)
    variance = k / (k - 1) * np.square(sums - mean * sizes).sum(axis=1) / n**2
    with np.errstate(divide="ignore", invalid="ignore"):
        p = special.stdtr(k - 1, -mean[:, 0] / np.sqrt(variance))
    return np.where(variance > 0, p, 1.0)


def look(rng: np.random.Generator, one: Story, plan: Plan, share: np.ndarray) -> np.ndarray:
    """Whether the verdict on held-out samples is promote, for mixtures that answer these shares."""
    h = plan.held_out
    if not plan.clustered:
        win, loss = one.below(share)
        wins = rng.binomial(h, win)
        losses = rng.binomial(h - wins, loss / (1 - win))
        critical = exact.critical_value(h, -plan.margin, ALPHA)
        return np.asarray(tango_statistic(wins, losses, h, -plan.margin) >= critical)
    found = []
    size = max(1, _ITEMS // h)
    for start in range(0, len(share), size):
        part = share[start : start + size]
        u, d = drawn(rng, one, plan, len(part), h)
        answered = np.where(u >= 1 - part[:, None], d, 0)
        sizes = np.full(h // FIVES, FIVES)
        found.append(
            clustered_decisions(answered, sizes, np.arange(0, h, FIVES), margin=plan.margin, alpha=ALPHA)[0]
        )
    return np.concatenate(found)


def oracle(one: Story, margin: float) -> float:
    """The largest share whose true loss is within the margin."""
    shares = np.linspace(0, 1, CELLS + 1)
    return float(shares[one.true_loss(shares) <= margin + STRICT].max())


def oracle_before_a_look(rng: np.random.Generator, one: Story, plan: Plan, looks: int) -> tuple[float, float]:
    """The largest share (in hundredths) that the look promotes with 80 % chance, and that chance, by so many looks."""
    shares = np.arange(1, STEPS) / STEPS
    h = plan.held_out
    if not plan.clustered:
        found = np.array([look(rng, one, plan, np.full(looks, share)).mean() for share in shares])
    else:
        u, d = drawn(rng, one, plan, looks, h)
        sizes, starts = np.full(h // FIVES, FIVES), np.arange(0, h, FIVES)
        found = np.array(
            [
                clustered_decisions(np.where(u >= 1 - share, d, 0), sizes, starts, margin=plan.margin)[
                    0
                ].mean()
                for share in shares
            ]
        )
    able = np.flatnonzero(found >= LEAST_CHANCE)
    return (float(shares[able[-1]]), float(found[able[-1]])) if len(able) else (0.0, 0.0)
