"""Blocks P, Q and S: several candidates share one look at the held-out items; how often falsely, what it gains and
what stopping candidates early saves.

Stories are run as arrays by the product's own formulas (`prospect`, `look_parts`, `tango_statistic`, the exact critical
value); the first of each setting are put to `choose`, `surviving` and `compare_scores` themselves. Candidates stand in
the order of their cost. Each candidate's alpha is rounded up to the next of a grid in steps of 5 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from benchmarks.calibration.deferring import stories
from benchmarks.calibration.mixture_stories import Plan, counts_of, drawn
from benchmarks.calibration.samples import clustered_decisions
from benchmarks.calibration.table import Block, Cell
from freehold.stats import exact, judges
from freehold.stats.binary import tango_statistic, wilson_limits, z_quantile
from freehold.stats.compare import compare_scores
from freehold.stats.continuous import t_quantile
from freehold.stats.looks import LookPlan
from freehold.stats.rules import STRICT, DecisionRule
from freehold.stats.selection import (
    WRONG_STOP,
    HalvingStep,
    SelectionRule,
    TriedCandidate,
    binary_variances,
    choose,
    halving_plan,
    look_parts,
    prospect,
    surviving,
)

ALPHA, CANDIDATES, FIVES, CHECKED = 0.025, 6, 5, 2
_CELLS = 6_000_000
_ENOUGH = 10_000  # stories that tell a point from chance


class Splits(NamedTuple):
    """How a story is told: items of both splits, the margin, the share of items that only a candidate gets right."""

    selection: int
    held_out: int
    margin: float
    win: float

    @property
    def rule(self) -> SelectionRule:
        return SelectionRule(decision=DecisionRule(margin=self.margin, alpha=ALPHA), held_out=self.held_out)


SMALL, LARGE = Splits(240, 300, 0.05, 0.05), Splits(800, 1000, 0.02, 0.025)


class Counts(NamedTuple):
    """Wins and losses, of shape (stories, candidates)."""

    wins: np.ndarray
    losses: np.ndarray

    def plus(self, other: Counts) -> Counts:
        return Counts(self.wins + other.wins, self.losses + other.losses)


def _counted(d: np.ndarray) -> Counts:
    return Counts((d > 0).sum(axis=2), (d < 0).sum(axis=2))


def _independent(rng: np.random.Generator, n: int, win: float, truth: np.ndarray) -> Counts:
    """Counts on `n` items of candidates that differ from the incumbent by `truth`, each in its own way."""
    wins = rng.binomial(n, np.maximum(win, truth))
    return Counts(wins, rng.binomial(n - wins, np.maximum(win - truth, 0) / (1 - np.maximum(win, truth))))


def _outcomes(
    rng: np.random.Generator,
    stories: int,
    n: int,
    shared: float,
    win: float,
    worse: np.ndarray,
    *,
    fives: bool,
) -> np.ndarray:
    """Differences, of shape (stories, candidates, n): `shared` of the variance is common to candidates. In fives, an
    item takes its user's outcome with probability sqrt(0.5)."""
    own = rng.random((stories, CANDIDATES, n), dtype=np.float32)
    if shared:
        common = rng.random((stories, 1, n), dtype=np.float32)
        own = np.where(rng.random(own.shape, dtype=np.float32) < np.sqrt(shared), common, own)
    loss = np.asarray(win + worse, dtype=np.float32).reshape(-1, 1)
    d = (own < win).astype(np.int8) - (own > 1 - loss).astype(np.int8)
    if not fives:
        return d
    users = _outcomes(rng, stories, n // FIVES, shared, win, worse, fives=False)
    return np.where(rng.random(d.shape, dtype=np.float32) < np.sqrt(0.5), np.repeat(users, FIVES, axis=2), d)


def _batches(runs: int, items: int) -> list[int]:
    size = max(1, _CELLS // (items * CANDIDATES))
    return [min(size, runs - start) for start in range(0, runs, size)]


def _chances(seen: Counts, n: int, splits: Splits) -> np.ndarray:
    """The product's chance of promote for every story and candidate."""
    return prospect(
        (seen.wins - seen.losses) / n,
        binary_variances(seen.wins, seen.losses, n, splits.margin),
        sizes=(n, splits.held_out),
        margin=splits.margin,
        quantile=z_quantile(ALPHA),
    ).chance


def _clustered_chances(d: np.ndarray, splits: Splits) -> np.ndarray:
    seen, n = _counted(d), d.shape[2]
    k = n // FIVES
    sums = d.reshape(*d.shape[:2], k, FIVES).sum(axis=3)
    mean = (seen.wins - seen.losses) / n
    variance = k / (k - 1) * np.square(sums - FIVES * mean[..., None]).sum(axis=2) / n**2
    alone = ((seen.wins + seen.losses) / n - mean**2) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(alone > 0, np.clip(variance / alone, 1, FIVES), FIVES)
    under_margin, observed = binary_variances(seen.wins, seen.losses, n, splits.margin)
    return prospect(
        mean,
        (under_margin * effect, observed * effect),
        sizes=(n, splits.held_out),
        margin=splits.margin,
        quantile=t_quantile(ALPHA, splits.held_out // FIVES - 1),
    ).chance


@cache
def _critical(n: int, margin: float, alpha: float) -> float:
    return float(exact.critical_value(n, -margin, alpha))


def _rounded(alpha: np.ndarray) -> np.ndarray:
    """Alpha on the grid, never less; 0 where there is none."""
    steps = np.floor(np.log(ALPHA / np.maximum(alpha, 1e-12)) / np.log(1.05) + 1e-9)
    return np.where(alpha > 0, ALPHA / 1.05**steps, 0.0)


def _thresholds(alpha: np.ndarray, n: int, margin: float) -> np.ndarray:
    """The value that Tango's statistic must reach at each alpha, exact test included; infinite at 0."""
    values, places = np.unique(_rounded(alpha), return_inverse=True)
    return np.array([_critical(n, margin, float(one)) if one else np.inf for one in values])[places].reshape(
        alpha.shape
    )


def _promoted(seen: Counts, n: int, margin: float, alpha: np.ndarray) -> np.ndarray:
    return tango_statistic(seen.wins, seen.losses, n, -margin) >= _thresholds(alpha, n, margin)


def _column(wins: int, losses: int, n: int) -> np.ndarray:
    d = np.zeros(n)
    d[:wins], d[wins : wins + losses] = 1.0, -1.0
    return d


def _check(tried: Callable[[int, int], np.ndarray], parts: np.ndarray, splits: Splits, codes=None) -> None:
    """The first stories' parts, by the product's choice. `tried` gives a candidate's differences in a story."""
    for story in range(CHECKED):
        found = choose(
            [
                TriedCandidate(name=str(at), cost=float(at), differences=tried(story, at), codes=codes)
                for at in range(parts.shape[1])
            ],
            splits.rule,
        )
        told = {row.name: row.part for row in found.rows}
        assert np.allclose([told[str(at)] for at in range(parts.shape[1])], parts[story], atol=1e-6)


def _check_verdict(d: np.ndarray, splits: Splits, alpha: float, promoted: bool) -> None:
    if alpha and alpha == _rounded(np.array([alpha]))[0]:
        found = compare_scores(
            [str(place) for place in range(len(d))],
            (d <= 0).astype(float).tolist(),
            (d >= 0).astype(float).tolist(),
            DecisionRule(margin=splits.margin, alpha=alpha),
        )
        assert (found.verdict == "promote") == promoted


def false_promotion(runs: int, seed: int) -> Block:
    """Block P: all candidates are worse by exactly the margin; how often the look promotes any of them."""
    block = Block(
        "P",
        "false promote with six candidates in one look",
        f"Six candidates, each worse by exactly the margin; seed {seed}. They share the look by their chance on the "
        "selection items cubed, and each is tested on the held-out items at its part of alpha; any promote counts. In "
        "italics: the best of the six on the held-out items, uncorrected. Correlated: the candidates share 70 % of the "
        "variance of their answers. Fives: samples of one user come in fives, ICC 0.5. Mixtures: each candidate's "
        "shares are tested in their order, the candidate alone last; losses thin out with confidence, and a mixture "
        "is beyond the margin from a share of 70 % on. Two planned looks: at half of the held-out items, then at all "
        "of them, alpha divided as in `LookPlan`. A judge: rare answers lose everything, which it misses; it is "
        "corrected by 100 human labels.",
        "at most 0.025",
        (
            "candidates",
            "margin",
            "selection",
            "held out",
            "stories",
            "any promoted",
            "95 % interval",
            "*best of six*",
        ),
    )
    rng = np.random.default_rng(seed)
    few = max(200, runs // 5)
    for splits in (SMALL, LARGE):
        _row(block, "independent", splits, runs, _plain(rng, splits, runs))
        _row(block, "independent, halving", splits, runs, _with_halving(rng, splits, runs))
        _row(block, "independent, two planned looks", splits, runs, _two_looks(rng, splits, runs))
        _row(block, "correlated", splits, runs, _by_items(rng, splits, runs, 0.7, fives=False))
        _row(block, "fives", splits, runs, _by_items(rng, splits, runs, 0.0, fives=True))
    _row(block, "fives, correlated", SMALL, runs, _by_items(rng, SMALL, runs, 0.7, fives=True))
    for splits in (SMALL, LARGE):
        _row(block, "mixtures", splits, few, _mixtures(rng, splits, few, fives=False))
    _row(block, "mixtures, fives", SMALL, few, _mixtures(rng, SMALL, few, fives=True))
    _row(block, "a judge that grades", SMALL, few, _judged(rng, SMALL, few))
    return block


class _Hits(NamedTuple):
    """Stories in which something is promoted: by the rule, and by the best of six uncorrected (None: not asked)."""

    rule: int
    best: int | None = None


def _row(block: Block, name: str, splits: Splits, runs: int, hits: _Hits) -> None:
    low, high = wilson_limits(hits.rule, runs, ALPHA)
    block.rows.append(
        (
            name,
            f"{splits.margin:g}",
            f"{splits.selection:,}",
            f"{splits.held_out:,}",
            f"{runs:,}",
            Cell(hits.rule / runs, ALPHA, runs=runs),
            f"{low:.4f} to {high:.4f}",
            "—" if hits.best is None else Cell(hits.best / runs, ALPHA, naive=True),
        )
    )


def _told(parts: np.ndarray, held_out: Counts, splits: Splits) -> _Hits:
    n, margin = splits.held_out, splits.margin
    alone = _promoted(held_out, n, margin, np.full(parts.shape, ALPHA))
    return _Hits(
        int(_promoted(held_out, n, margin, ALPHA * parts).any(axis=1).sum()), int(alone.any(axis=1).sum())
    )


def _plain(rng: np.random.Generator, splits: Splits, runs: int) -> _Hits:
    truth = np.full((runs, CANDIDATES), -splits.margin)
    seen = _independent(rng, splits.selection, splits.win, truth)
    held_out = _independent(rng, splits.held_out, splits.win, truth)
    parts = look_parts(_chances(seen, splits.selection, splits))
    _check(lambda s, at: _column(seen.wins[s, at], seen.losses[s, at], splits.selection), parts, splits)
    promoted = _promoted(held_out, splits.held_out, splits.margin, ALPHA * parts)
    for at in np.argwhere(parts == 1)[:CHECKED]:
        d = _column(held_out.wins[tuple(at)], held_out.losses[tuple(at)], splits.held_out)
        _check_verdict(d, splits, ALPHA, bool(promoted[tuple(at)]))
    return _told(parts, held_out, splits)


def _two_looks(rng: np.random.Generator, splits: Splits, runs: int) -> _Hits:
    truth = np.full((runs, CANDIDATES), -splits.margin)
    parts = look_parts(
        _chances(_independent(rng, splits.selection, splits.win, truth), splits.selection, splits)
    )
    half = splits.held_out // 2
    first = _independent(rng, half, splits.win, truth)
    both = first.plus(_independent(rng, splits.held_out - half, splits.win, truth))
    plan = LookPlan(2, grows=True)
    ever = [
        _promoted(seen, n, splits.margin, plan.alpha(ALPHA, number) * parts).any(axis=1)
        for number, (seen, n) in enumerate(((first, half), (both, splits.held_out)), 1)
    ]
    return _Hits(int((ever[0] | ever[1]).sum()))


def _by_items(rng: np.random.Generator, splits: Splits, runs: int, shared: float, *, fives: bool) -> _Hits:
    found = []
    worse = np.full(CANDIDATES, splits.margin)
    for batch in _batches(runs, splits.selection + splits.held_out):
        seen, held_out = (
            _outcomes(rng, batch, n, shared, splits.win, worse, fives=fives)
            for n in (splits.selection, splits.held_out)
        )
        if not fives:
            parts = look_parts(_chances(_counted(seen), splits.selection, splits))
            found.append(_told(parts, _counted(held_out), splits))
            continue
        parts = look_parts(_clustered_chances(seen, splits))
        if not found:
            codes = np.repeat(np.arange(splits.selection // FIVES), FIVES)
            _check(lambda s, at, seen=seen: seen[s, at].astype(float), parts, splits, codes)
        rule = _clustered_promoted(held_out, splits.margin, ALPHA * parts).any(axis=1)
        best = _clustered_promoted(held_out, splits.margin, np.full(parts.shape, ALPHA)).any(axis=1)
        found.append(_Hits(int(rule.sum()), int(best.sum())))
    return _Hits(*np.sum(found, axis=0).tolist())


def _clustered_promoted(d: np.ndarray, margin: float, alpha: np.ndarray) -> np.ndarray:
    """Of differences (stories, candidates, items) in fives, at each one's alpha."""
    n, alpha = d.shape[2], _rounded(alpha)
    promoted = np.zeros(alpha.shape, dtype=bool)
    for one in np.unique(alpha[alpha > 0]):
        at = alpha == one
        promoted[at] = clustered_decisions(
            d[at], np.full(n // FIVES, FIVES), np.arange(0, n, FIVES), margin=margin, alpha=float(one)
        )[0]
    return promoted


def _mixtures(rng: np.random.Generator, splits: Splits, runs: int, *, fives: bool) -> _Hits:
    """Every candidate's shares in their order; a promoted mixture that loses more than the margin counts."""
    one = stories(splits.margin)["telling"]
    plan = Plan(splits.selection, splits.held_out, splits.margin, clustered=fives)
    counts, false = counts_of(splits.selection), 0
    for batch in _batches(runs, 8 * splits.held_out):
        told = []
        for _ in range(CANDIDATES):
            u, d = drawn(rng, one, plan, batch, splits.selection)
            order = np.argsort(-u, axis=1)
            u, d = np.take_along_axis(u, order, 1), np.take_along_axis(d, order, 1)
            cuts = (u[:, counts - 1] + u[:, np.minimum(counts, splits.selection - 1)]) / 2
            cuts[:, -1] = 0.0
            chance = (_clustered_chances if fives else _chances_of)(d[:, None], splits)[:, 0]
            told.append((cuts, chance, *drawn(rng, one, plan, batch, splits.held_out)))
        parts = look_parts(np.stack([chance for _, chance, _, _ in told], axis=1))
        beyond = np.zeros(batch, dtype=bool)
        for at, (cuts, _, u, d) in enumerate(told):
            beyond |= _beyond(one.true_loss, cuts, u, d, splits, ALPHA * parts[:, at], fives=fives)
        false += int(beyond.sum())
    return _Hits(false)


def _chances_of(d: np.ndarray, splits: Splits) -> np.ndarray:
    return _chances(_counted(d), d.shape[2], splits)


def _beyond(true_loss, cuts, u, d, splits: Splits, alpha: np.ndarray, *, fives: bool) -> np.ndarray:
    """Stories in which a share is promoted that loses more than the margin."""
    going, found = alpha > 0, np.zeros(len(alpha), dtype=bool)
    for step in range(cuts.shape[1]):
        if not going.any():
            break
        mixed = np.where(u >= cuts[:, step, None], d, 0)[:, None]
        promoted = (
            _clustered_promoted(mixed, splits.margin, alpha[:, None])
            if fives
            else _promoted(_counted(mixed), splits.held_out, splits.margin, alpha[:, None])
        )
        going &= promoted[:, 0]
        found |= going & (true_loss(1 - cuts[:, step]) > splits.margin + STRICT)
    return found


def _judged(rng: np.random.Generator, splits: Splits, runs: int, labels: int = 100) -> _Hits:
    """A judge grades the candidates of each story and misses their rare losses; its labels are of those answers."""
    truth, hits = np.full((runs, CANDIDATES), -splits.margin), 0
    parts = look_parts(
        _chances(_independent(rng, splits.selection, splits.win, truth), splits.selection, splits)
    )
    for story in range(runs):
        any_promoted = False
        for part in parts[story][parts[story] > 0]:
            lost, moved, off = rng.random((3, labels + splits.held_out))
            right = np.where(lost < splits.margin, -1.0, 0.25 * ((moved > 0.85) * 1.0 - (moved < 0.15)))
            judge = np.where(lost < splits.margin, 0.0, right)
            judge = np.clip(judge + 0.25 * ((off > 0.9) * 1.0 - (off < 0.1)), -1, 1)
            alpha = ALPHA * float(part)
            found = judges.ppi_mean(
                right[:labels], judge[:labels], judge[labels:], margin=splits.margin, alpha=alpha
            )
            any_promoted |= found.lower > -splits.margin and (found.p_rare_loss or 0.0) <= alpha
        hits += any_promoted
    return _Hits(hits)


def power_gained(runs: int, seed: int) -> Block:
    """Block Q: a good candidate among six is promoted: by the rule, where one is chosen, where six share alpha."""
    block = Block(
        "Q",
        "power with six candidates",
        f"One, three or all of six candidates are as good as the incumbent, the others worse by the margin; {runs} "
        f"stories a row, seed {seed}. A story succeeds when a good one is promoted. Beside the rule: only the one with "
        "the best chance on the selection items is looked at; all six are, with a sixth of alpha each; and the first "
        "good one alone, which cannot be named beforehand. Candidates of one dataset mostly fail on the same items: "
        "correlated by 0.7. Looked at: candidates that have a part of the look.",
        "at most 0.01 below one chosen",
        (
            "good",
            "answers",
            "margin",
            "selection",
            "held out",
            "rule",
            "looked at",
            "one chosen",
            "gain",
            "alpha / 6",
            "the good one alone",
        ),
    )
    rng = np.random.default_rng(seed)
    for splits in (SMALL, LARGE):
        for shared in (0.7, 0.0):
            for good in ((3,), (2, 3, 5), tuple(range(CANDIDATES))):
                rule, one, sixth, alone, looked_at = _succeeded(rng, splits, runs, shared, good)
                block.rows.append(
                    (
                        f"{len(good)} of {CANDIDATES}",
                        "correlated" if shared else "independent",
                        f"{splits.margin:g}",
                        f"{splits.selection:,}",
                        f"{splits.held_out:,}",
                        Cell(rule),
                        f"{looked_at:.1f}",
                        Cell(one),
                        Cell(rule - one, -0.01 if runs >= _ENOUGH else None, "at least"),
                        Cell(sixth),
                        Cell(alone),
                    )
                )
    return block


def _succeeded(
    rng: np.random.Generator, splits: Splits, runs: int, shared: float, good: tuple[int, ...]
) -> np.ndarray:
    worse = np.full(CANDIDATES, splits.margin)
    worse[list(good)] = 0.0
    total = np.zeros(5)
    for batch in _batches(runs, splits.selection + splits.held_out):
        seen, held_out = (
            _counted(_outcomes(rng, batch, n, shared, splits.win, worse, fives=False))
            for n in (splits.selection, splits.held_out)
        )
        chance = _chances(seen, splits.selection, splits)
        parts = look_parts(chance)
        named = np.zeros(parts.shape)
        named[:, good[0]] = 1.0
        for at, one in enumerate((parts, _best_of(chance), np.full(parts.shape, 1 / CANDIDATES), named)):
            passing = _promoted(held_out, splits.held_out, splits.margin, ALPHA * one)
            total[at] += passing[:, list(good)].any(axis=1).sum()
        total[4] += (parts > 0).sum()
    return total / runs


def _best_of(chance: np.ndarray) -> np.ndarray:
    """The whole look for the one with the best chance."""
    found = np.zeros(chance.shape)
    found[np.arange(len(chance)), chance.argmax(axis=1)] = 1.0
    return found


def halving(runs: int, seed: int) -> Block:
    """Block S: what stopping early saves, and how often it stops what would have been promoted."""
    block = Block(
        "S",
        "stopping candidates early",
        f"Six, twelve and twenty-four candidates, the dearer the better (from 2.4 margins worse to as good, with a "
        f"standard deviation of 0.6 margins), on {LARGE.selection} selection items; {runs} stories a row, seed {seed}. "
        "Asked: items asked of all candidates together, as a share of asking all of them everything. Last: a candidate "
        "that is as good as the incumbent, and one that is worse by exactly the margin, are called hopeless at any "
        "step.",
        f"a candidate within the margin is called hopeless in at most {WRONG_STOP:.0%} of stories; promotes at "
        "most 0.03 fewer than where all are asked everything and one is chosen",
        (
            "candidates",
            "asked",
            "promoted with halving",
            "without",
            "one chosen without",
            "gain on it",
            "hopeless: as good",
            "hopeless: worse by the margin",
        ),
    )
    rng = np.random.default_rng(seed)
    splits = LARGE
    for number in (6, 12, 24):
        plan = halving_plan(splits.selection, number)
        mean = -2.4 * splits.margin + 2.5 * splits.margin * np.arange(number) / (number - 1)
        truth = np.clip(mean + rng.normal(0, 0.6 * splits.margin, (runs, number)), -0.5, splits.margin)
        slices = list(_slices(rng, plan, splits.win, truth))
        parts, asked = _halved(slices, plan, splits)
        _check_halving(slices, plan, splits, parts)
        whole = slices[0]
        for part in slices[1:]:
            whole = whole.plus(part)
        held_out = _independent(rng, splits.held_out, splits.win, truth)
        chance = _chances(whole, splits.selection, splits)
        halves, full, one_chosen = (
            float(_promoted(held_out, splits.held_out, splits.margin, ALPHA * one).any(axis=1).mean())
            for one in (parts, look_parts(chance), _best_of(chance))
        )
        block.rows.append(
            (
                str(number),
                Cell(float(asked.mean()) / (number * splits.selection)),
                Cell(halves),
                Cell(full),
                Cell(one_chosen),
                Cell(halves - one_chosen, -0.03, "at least"),
                Cell(_hopeless(rng, splits, number, 0.0, runs), WRONG_STOP, runs=runs),
                Cell(_hopeless(rng, splits, number, -splits.margin, runs), WRONG_STOP, runs=runs),
            )
        )
    return block


def _slices(
    rng: np.random.Generator, plan: Sequence[HalvingStep], win: float, truth: np.ndarray
) -> Iterator[Counts]:
    for size in np.diff([0, *(step.items for step in plan)]):
        yield _independent(rng, int(size), win, truth)


def _with_halving(rng: np.random.Generator, splits: Splits, runs: int) -> _Hits:
    plan = halving_plan(splits.selection, CANDIDATES)
    truth = np.full((runs, CANDIDATES), -splits.margin)
    slices = list(_slices(rng, plan, splits.win, truth))
    parts, _ = _halved(slices, plan, splits)
    _check_halving(slices, plan, splits, parts)
    return _told(parts, _independent(rng, splits.held_out, splits.win, truth), splits)


def _halved(
    slices: Sequence[Counts], plan: Sequence[HalvingStep], splits: Splits
) -> tuple[np.ndarray, np.ndarray]:
    """The candidates' parts after successive halving, and how many items were asked for it, all together."""
    stories, candidates = slices[0].wins.shape
    rows = np.arange(stories)
    alive, asked = np.ones((stories, candidates), dtype=bool), np.zeros(stories, dtype=np.int64)
    seen, done = Counts(np.zeros_like(slices[0].wins), np.zeros_like(slices[0].wins)), 0
    worst = z_quantile(WRONG_STOP / max(1, len(plan) - 1))
    for part, step in zip(slices, plan, strict=True):
        asked += alive.sum(axis=1) * (step.items - done)
        seen, done = seen.plus(part), step.items
        chance = np.where(alive, _chances(seen, done, splits), 0.0)
        if step.items == plan[-1].items:
            return look_parts(chance), asked
        hopeless = tango_statistic(seen.wins, seen.losses, done, -splits.margin) < -worst
        going = alive & ~hopeless
        going[rows, np.where(alive, chance, -1.0).argmax(axis=1)] |= ~going.any(axis=1)
        order = np.argsort(-np.where(going, chance, -1.0), axis=1, kind="stable")
        place = np.empty_like(order)
        np.put_along_axis(place, order, np.arange(candidates)[None, :], axis=1)
        alive = going & (place < step.keep)
    raise AssertionError("a plan ends with all items")


def _check_halving(
    slices: Sequence[Counts], plan: Sequence[HalvingStep], splits: Splits, parts: np.ndarray
) -> None:
    """The first stories, put to `surviving` step by step."""
    sizes = np.diff([0, *(step.items for step in plan)])
    for story in range(CHECKED):
        going = list(range(parts.shape[1]))
        columns = {place: np.empty(0) for place in going}
        for part, size, step in zip(slices, sizes, plan, strict=True):
            for place in going:
                more = _column(int(part.wins[story, place]), int(part.losses[story, place]), int(size))
                columns[place] = np.concatenate([columns[place], more])
            tried = [TriedCandidate(name=str(p), cost=float(p), differences=columns[p]) for p in going]
            if step is plan[-1]:
                told = {row.name: row.part for row in choose(tried, splits.rule).rows}
                found = [told.get(str(place), 0.0) for place in range(parts.shape[1])]
                assert not parts[story].any() or np.allclose(found, parts[story], atol=1e-6)
                break
            stops = surviving(tried, splits.rule, step, steps=len(plan) - 1)
            going = [place for place in going if not stops.get(str(place))]


def _hopeless(rng: np.random.Generator, splits: Splits, number: int, truth: float, runs: int) -> float:
    """How often one candidate is called hopeless at any step of the plan for `number`."""
    plan = halving_plan(splits.selection, number)
    ever = np.zeros((runs, 1), dtype=bool)
    seen = Counts(np.zeros((runs, 1), dtype=np.int64), np.zeros((runs, 1), dtype=np.int64))
    slices = list(_slices(rng, plan, splits.win, np.full((runs, 1), truth)))
    for part, step in zip(slices[:-1], plan, strict=False):
        seen = seen.plus(part)
        statistic = tango_statistic(seen.wins, seen.losses, step.items, -splits.margin)
        ever |= statistic < -z_quantile(WRONG_STOP / (len(plan) - 1))
    return float(ever.mean())
