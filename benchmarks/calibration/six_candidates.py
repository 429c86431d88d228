"""Stories in which one of several candidates is chosen on items of its own and proven on others, as arrays.

The rule is run on arrays of stories by the product's own formulas (`prospect`, `tango_statistic`, the exact critical
value); the first stories of each setting are also put to `choose`, `surviving` and `compare_scores` themselves.
Candidates stand in the order of their cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from freehold.stats import exact
from freehold.stats.binary import tango_statistic, z_quantile
from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule
from freehold.stats.selection import (
    LEAST_CHANCE,
    SelectionRule,
    TriedCandidate,
    choose,
    surviving,
)
from freehold.stats.selection.choosing import binary_variances, prospect
from freehold.stats.selection.halving import WRONG_STOP, HalvingStep

ALPHA, CANDIDATES = 0.025, 6
_CELLS = 6_000_000
CHECKED = 2


class Splits(NamedTuple):
    """How a story is told: items of both splits, the margin, the share of items that only a candidate gets right."""

    selection: int
    held_out: int
    margin: float
    win: float

    @property
    def decision(self) -> DecisionRule:
        return DecisionRule(margin=self.margin, alpha=ALPHA)

    @property
    def rule(self) -> SelectionRule:
        return SelectionRule(decision=self.decision, held_out=self.held_out)

    def critical(self, alpha: float) -> float:
        """The value that Tango's statistic of the held-out items must reach, exact test included."""
        return float(exact.critical_value(self.held_out, -self.margin, alpha))


SMALL, LARGE = Splits(240, 300, 0.05, 0.05), Splits(800, 1000, 0.02, 0.025)


class Counts(NamedTuple):
    """Wins and losses, of shape (stories, candidates)."""

    wins: np.ndarray
    losses: np.ndarray

    def plus(self, other: Counts) -> Counts:
        return Counts(self.wins + other.wins, self.losses + other.losses)


def independent(rng: np.random.Generator, n: int, win: float, truth: np.ndarray) -> Counts:
    """Counts on `n` items of candidates that differ from the incumbent by `truth`, each in its own way."""
    loss = np.maximum(win - truth, 0)
    wins = rng.binomial(n, np.maximum(win, truth))
    return Counts(wins, rng.binomial(n - wins, loss / (1 - np.maximum(win, truth))))


def uniforms(rng: np.random.Generator, stories: int, n: int, shared: float) -> np.ndarray:
    """What decides each answer, of shape (stories, candidates, n): `shared` of the variance is common to candidates."""
    own = rng.random((stories, CANDIDATES, n), dtype=np.float32)
    if not shared:
        return own
    common = rng.random((stories, 1, n), dtype=np.float32)
    return np.where(rng.random(own.shape, dtype=np.float32) < np.sqrt(shared), common, own)


def outcomes(uniform: np.ndarray, win: float, worse: float | np.ndarray) -> np.ndarray:
    """Differences of candidates that are worse by `worse`: one value, or one for each candidate."""
    loss = np.asarray(win + worse, dtype=np.float32).reshape(-1, 1)
    return (uniform < win).astype(np.int8) - (uniform > 1 - loss).astype(np.int8)


def counted(d: np.ndarray) -> Counts:
    return Counts((d > 0).sum(axis=2), (d < 0).sum(axis=2))


def chances(seen: Counts, n: int, splits: Splits) -> np.ndarray:
    """The product's chance of promote for every story and candidate."""
    return prospect(
        (seen.wins - seen.losses) / n,
        binary_variances(seen.wins, seen.losses, n, splits.margin),
        sizes=(n, splits.held_out),
        margin=splits.margin,
        quantile=z_quantile(ALPHA),
    ).chance


def pick(chance: np.ndarray, least: float = LEAST_CHANCE) -> np.ndarray:
    """The first (cheapest) candidate with that chance, else the one with the best."""
    passing = chance >= least
    return np.where(passing.any(axis=1), passing.argmax(axis=1), chance.argmax(axis=1))


def in_order(chance: np.ndarray) -> np.ndarray:
    """All candidates of each story, first the one `pick` takes, then the one it would take without that."""
    rank = np.where(chance >= LEAST_CHANCE, 1.0 + CANDIDATES - np.arange(chance.shape[1]), chance)
    return np.argsort(-rank, axis=1, kind="stable")


def halved(
    slices: Sequence[Counts], plan: Sequence[HalvingStep], splits: Splits
) -> tuple[np.ndarray, np.ndarray]:
    """Which candidate successive halving chooses, and how many items were asked for it, all candidates together."""
    stories, candidates = slices[0].wins.shape
    rows = np.arange(stories)
    alive, asked = np.ones((stories, candidates), dtype=bool), np.zeros(stories, dtype=np.int64)
    seen, done = Counts(np.zeros_like(slices[0].wins), np.zeros_like(slices[0].wins)), 0
    worst = z_quantile(WRONG_STOP / max(1, len(plan) - 1))
    for part, step in zip(slices, plan, strict=True):
        asked += alive.sum(axis=1) * (step.items - done)
        seen, done = seen.plus(part), step.items
        chance = np.where(alive, chances(seen, done, splits), -1.0)
        chosen = pick(chance)
        if step.items == plan[-1].items:
            return chosen, asked
        hopeless = tango_statistic(seen.wins, seen.losses, done, -splits.margin) < -worst
        ranked = chance.copy()
        ranked[rows, chosen] = 2.0
        first = ranked.argmax(axis=1)
        going = alive & ~hopeless
        going[rows, first] |= ~going.any(axis=1)
        ranked = np.where(going, ranked, -2.0)
        order = np.argsort(-ranked, axis=1, kind="stable")
        place = np.empty_like(order)
        np.put_along_axis(place, order, np.arange(candidates)[None, :], axis=1)
        alive = going & (place < step.keep)
    raise AssertionError("a plan ends with all items")


def slices_of(
    rng: np.random.Generator, plan: Sequence[HalvingStep], win: float, truth: np.ndarray
) -> list[Counts]:
    sizes = np.diff([0, *(step.items for step in plan)])
    return [independent(rng, int(size), win, truth) for size in sizes]


def promoted(seen: Counts, splits: Splits, alpha: float = ALPHA) -> np.ndarray:
    return tango_statistic(seen.wins, seen.losses, splits.held_out, -splits.margin) >= splits.critical(alpha)


def _column(wins: int, losses: int, n: int) -> np.ndarray:
    d = np.zeros(n)
    d[:wins], d[wins : wins + losses] = 1.0, -1.0
    return d


def check(seen: Counts, held_out: Counts, splits: Splits, chosen: np.ndarray, passes: np.ndarray) -> None:
    """The first stories, put to the product's functions."""
    for story in range(CHECKED):
        tried = [
            TriedCandidate(
                name=str(place),
                cost=float(place),
                differences=_column(
                    int(seen.wins[story, place]), int(seen.losses[story, place]), splits.selection
                ),
            )
            for place in range(seen.wins.shape[1])
        ]
        assert choose(tried, splits.rule).chosen == str(chosen[story])
        at = story, chosen[story]
        d = _column(int(held_out.wins[at]), int(held_out.losses[at]), splits.held_out)
        assert (_verdict(d, splits) == "promote") == bool(passes[story])


def check_halving(
    slices: Sequence[Counts], plan: Sequence[HalvingStep], splits: Splits, chosen: np.ndarray
) -> None:
    """The first stories, put to `surviving` step by step."""
    sizes = np.diff([0, *(step.items for step in plan)])
    for story in range(CHECKED):
        going, stopped = list(range(slices[0].wins.shape[1])), {}
        columns = {place: np.empty(0) for place in going}
        for part, size, step in zip(slices, sizes, plan, strict=True):
            for place in going:
                more = _column(int(part.wins[story, place]), int(part.losses[story, place]), int(size))
                columns[place] = np.concatenate([columns[place], more])
            tried = [TriedCandidate(name=str(p), cost=float(p), differences=columns[p]) for p in going]
            if step is plan[-1]:
                assert choose(tried, splits.rule).chosen == str(chosen[story])
                break
            stops = surviving(tried, splits.rule, step, steps=len(plan) - 1)
            stopped |= {place: stops[str(place)] for place in going if stops[str(place)]}
            going = [place for place in going if place not in stopped]


def _verdict(d: np.ndarray, splits: Splits) -> str:
    return compare_scores(
        [str(place) for place in range(len(d))],
        (d <= 0).astype(float).tolist(),
        (d >= 0).astype(float).tolist(),
        splits.decision,
    ).verdict


def batches(runs: int, items: int) -> list[int]:
    size = max(1, _CELLS // (items * CANDIDATES))
    return [min(size, runs - start) for start in range(0, runs, size)]
