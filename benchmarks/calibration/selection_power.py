"""Blocks Q to S: what choosing on items of its own gains and costs; by simulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from scipy import special

from benchmarks.calibration.six_candidates import (
    ALPHA,
    CANDIDATES,
    LARGE,
    SMALL,
    Counts,
    Splits,
    batches,
    chances,
    check,
    check_halving,
    counted,
    halved,
    in_order,
    independent,
    outcomes,
    pick,
    promoted,
    slices_of,
    uniforms,
)
from benchmarks.calibration.table import Block, Cell
from freehold.stats.binary import tango_statistic, z_quantile
from freehold.stats.selection import LEAST_CHANCE, halving_plan, selection_size
from freehold.stats.selection.halving import WRONG_STOP

_INCUMBENT_COST = 2.0**CANDIDATES
_COSTS = 2.0 ** np.arange(CANDIDATES)


def power_gained(runs: int, seed: int) -> Block:
    """Block Q: a good candidate among six is promoted, by the rule and where six share alpha."""
    block = Block(
        "Q",
        "power with six candidates",
        f"One, three or all of six candidates are as good as the incumbent, the others worse by the margin; {runs} "
        f"stories a row, seed {seed}. A story succeeds when a good one is promoted. Beside the rule: two looks "
        "planned, the second at the next candidate in the rule's order, alpha shared by two; all six looked at on "
        "the held-out items, alpha shared by six, the cheapest that passes promoted; the same where the selection "
        "items are held out, too; and the first good one alone, which cannot be named beforehand. Candidates of "
        "one dataset mostly fail on the same items: correlated by 0.7. Read: with one good candidate the rule "
        "gains much. With several that fail on different items, each is a further try, and sharing alpha finds one "
        "more often; two planned looks are between. And sharing alpha on all items is the strongest, at six times "
        "the items asked: selection should use items that cannot be held out (looked at before, or used to stop "
        "training), not ones taken from the held-out part.",
        "with one good candidate the rule gains over six that share alpha on the same held-out items",
        (
            "good",
            "answers",
            "margin",
            "selection",
            "held out",
            "rule",
            "two looks",
            "alpha / 6",
            "gain",
            "alpha / 6, all items",
            "the good one alone",
        ),
    )
    rng = np.random.default_rng(seed)
    for splits in (SMALL, LARGE):
        for shared in (0.7, 0.0):
            for good in ((3,), (2, 3, 5), tuple(range(CANDIDATES))):
                found = _succeeded(rng, splits, runs, shared, good)
                gain = Cell(found["rule"] - found["divided"], 0.0 if len(good) == 1 else None, "at least")
                block.rows.append(
                    (
                        f"{len(good)} of {CANDIDATES}",
                        "correlated" if shared else "independent",
                        f"{splits.margin:g}",
                        f"{splits.selection:,}",
                        f"{splits.held_out:,}",
                        Cell(found["rule"]),
                        Cell(found["two"]),
                        Cell(found["divided"]),
                        gain,
                        Cell(found["all"]),
                        Cell(found["alone"]),
                    )
                )
    return block


def _succeeded(
    rng: np.random.Generator, splits: Splits, runs: int, shared: float, good: tuple[int, ...]
) -> dict[str, float]:
    worse = np.full(CANDIDATES, splits.margin)
    worse[list(good)] = 0.0
    everything = splits._replace(held_out=splits.held_out + splits.selection)
    hits: Counter[str] = Counter()
    for batch in batches(runs, everything.held_out):
        seen, held_out = (
            _drawn(rng, batch, n, shared, splits.win, worse) for n in (splits.selection, splits.held_out)
        )
        order = in_order(chances(seen, splits.selection, splits))
        ways = {
            "rule": (promoted(held_out, splits), order[:, :1]),
            "two": (promoted(held_out, splits, ALPHA / 2), order[:, :2]),
            "divided": (promoted(held_out, splits, ALPHA / CANDIDATES), None),
            "all": (promoted(held_out.plus(seen), everything, ALPHA / CANDIDATES), None),
            "alone": (promoted(held_out, splits), np.full((batch, 1), good[0])),
        }
        if not hits:
            rows = np.arange(batch)
            check(seen, held_out, splits, order[:, 0], ways["rule"][0][rows, order[:, 0]])
        for way, (passing, looked_at) in ways.items():
            hits[way] += _first_is_good(passing, looked_at, good)
    return {way: count / runs for way, count in hits.items()}


def _drawn(
    rng: np.random.Generator, stories: int, n: int, shared: float, win: float, worse: np.ndarray
) -> Counts:
    if not shared:
        return independent(rng, n, win, np.broadcast_to(-worse, (stories, CANDIDATES)))
    return counted(outcomes(uniforms(rng, stories, n, shared), win, worse))


def _first_is_good(passing: np.ndarray, looked_at: np.ndarray | None, good: tuple[int, ...]) -> int:
    """Stories in which the first candidate that passes, in the order they are looked at, is a good one."""
    if looked_at is None:
        looked_at = np.broadcast_to(np.arange(CANDIDATES), passing.shape)
    seen = np.take_along_axis(passing, looked_at, axis=1)
    first = np.take_along_axis(looked_at, seen.argmax(axis=1)[:, None], axis=1)[:, 0]
    return int((seen.any(axis=1) & np.isin(first, good)).sum())


def thresholds(runs: int, seed: int) -> Block:
    """Block R: from which result on the selection items a candidate passes, and how many items that takes."""
    block = Block(
        "R",
        "what a candidate must show on the selection items",
        "Six candidates whose cost doubles from one to the next (the incumbent costs twice the dearest) and whose "
        f"quality rises with it: a difference of -2.4 to +0.1 margins on average, each off by 0.6 margins; {runs} "
        f"stories a cell, seed {seed}. The cheapest that passes the threshold is looked at on the held-out items, "
        "else the best. First figure: the share of stories that end in promote; second: the share of the "
        "incumbent's cost saved, over all stories. The last column chooses by the true chances, which nobody knows.",
        f"a chance of {LEAST_CHANCE:.0%} saves within 0.02 of the best threshold beside it",
        ("margin", "held out", "selection", *_THRESHOLDS, "80 % below the best", "true chance 80 %"),
    )
    rng = np.random.default_rng(seed)
    for base in (SMALL, LARGE):
        worth = selection_size(10**6, base.margin, discordance=2 * base.win)
        for size in (worth // 8, worth // 4, worth // 2, worth, 2 * worth):
            splits = base._replace(selection=size)
            block.rows.append(_threshold_row(rng, splits, runs, worth))
    return block


def _threshold_row(rng: np.random.Generator, splits: Splits, runs: int, worth: int) -> tuple[str | Cell, ...]:
    margin = splits.margin
    mean = -2.4 * margin + 0.5 * margin * np.arange(CANDIDATES)
    truth = np.clip(mean + rng.normal(0, 0.6 * margin, (runs, CANDIDATES)), -0.5, margin)
    seen = independent(rng, splits.selection, splits.win, truth)
    passing = promoted(independent(rng, splits.held_out, splits.win, truth), splits)
    saved = {}
    told: list[str] = []
    for name, threshold in (*_THRESHOLDS.items(), ("oracle", None)):
        chosen = pick(_true_chances(truth, splits)) if threshold is None else threshold(seen, splits)
        won = passing[np.arange(runs), chosen]
        saved[name] = float((won * (1 - _COSTS[chosen] / _INCUMBENT_COST)).mean())
        told.append(f"{won.mean():.3f}, {saved[name]:.3f}")
    best = max(saved[name] for name in _THRESHOLDS)
    size = f"{splits.selection:,}" + (" (`selection_size`)" if splits.selection == worth else "")
    return (
        f"{margin:g}",
        f"{splits.held_out:,}",
        size,
        *told[:-1],
        Cell(best - saved["80 %"], 0.02),
        told[-1],
    )


def _by_chance(least: float) -> Callable[[Counts, Splits], np.ndarray]:
    return lambda seen, splits: pick(chances(seen, splits.selection, splits), least)


def _estimate(seen: Counts, splits: Splits) -> np.ndarray:
    difference = (seen.wins - seen.losses) / splits.selection
    return pick(np.where(difference >= -splits.margin, 1.0, difference))


def _interval(seen: Counts, splits: Splits) -> np.ndarray:
    statistic = tango_statistic(seen.wins, seen.losses, splits.selection, -splits.margin)
    return pick(np.where(statistic > z_quantile(0.1), 100.0, statistic - 100))


def _best(seen: Counts, splits: Splits) -> np.ndarray:
    return np.asarray((seen.wins - seen.losses).argmax(axis=1))


_THRESHOLDS: dict[str, Callable[[Counts, Splits], np.ndarray]] = {
    "estimate within the margin": _estimate,
    "90 % limit within the margin": _interval,
    "50 %": _by_chance(0.5),
    "70 %": _by_chance(0.7),
    "80 %": _by_chance(0.8),
    "90 %": _by_chance(0.9),
    "the best": _best,
}


def _true_chances(truth: np.ndarray, splits: Splits) -> np.ndarray:
    wins = np.maximum(splits.win, truth)
    spread = np.sqrt((2 * wins - truth - truth**2) / splits.held_out)
    return np.asarray(special.ndtr((truth + splits.margin) / spread - z_quantile(ALPHA)))


def halving(runs: int, seed: int) -> Block:
    """Block S: what stopping early saves, and how often it stops what would have been chosen."""
    block = Block(
        "S",
        "stopping candidates early",
        f"The candidates of block R, six, twelve and twenty-four of them, on {LARGE.selection} selection items; "
        f"{runs} stories a row, seed {seed}. Asked: items asked of all candidates together, as a share of asking "
        "all of them everything. Last: a candidate that is as good as the incumbent, and one that is worse by "
        "exactly the margin, are called hopeless at any step.",
        f"a candidate within the margin is called hopeless in at most {WRONG_STOP:.0%} of stories; promotes at most "
        "0.03 fewer than without halving",
        (
            "candidates",
            "asked",
            "promoted with halving",
            "without",
            "difference",
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
        slices = slices_of(rng, plan, splits.win, truth)
        chosen, asked = halved(slices, plan, splits)
        check_halving(slices, plan, splits, chosen)
        whole = slices[0]
        for part in slices[1:]:
            whole = whole.plus(part)
        passing = promoted(independent(rng, splits.held_out, splits.win, truth), splits)
        rows = np.arange(runs)
        halves = float(passing[rows, chosen].mean())
        full = float(passing[rows, pick(chances(whole, splits.selection, splits))].mean())
        block.rows.append(
            (
                str(number),
                Cell(float(asked.mean()) / (number * splits.selection)),
                Cell(halves),
                Cell(full),
                Cell(full - halves, 0.03),
                Cell(_hopeless(rng, splits, number, 0.0, runs), WRONG_STOP, runs=runs),
                Cell(_hopeless(rng, splits, number, -splits.margin, runs), WRONG_STOP, runs=runs),
            )
        )
    return block


def _hopeless(rng: np.random.Generator, splits: Splits, number: int, truth: float, runs: int) -> float:
    """How often one candidate is called hopeless at any step of the plan for `number`."""
    plan = halving_plan(splits.selection, number)
    ever = np.zeros((runs, 1), dtype=bool)
    seen = Counts(np.zeros((runs, 1), dtype=np.int64), np.zeros((runs, 1), dtype=np.int64))
    for part, step in zip(
        slices_of(rng, plan, splits.win, np.full((runs, 1), truth))[:-1], plan, strict=False
    ):
        seen = seen.plus(part)
        statistic = tango_statistic(seen.wins, seen.losses, step.items, -splits.margin)
        ever |= statistic < -z_quantile(WRONG_STOP / (len(plan) - 1))
    return float(ever.mean())
