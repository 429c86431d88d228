"""Block P: one of six candidates is chosen on items of its own and proven on others; how often falsely."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.calibration.samples import clustered_decisions
from benchmarks.calibration.six_candidates import (
    ALPHA,
    CANDIDATES,
    CHECKED,
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
    independent,
    outcomes,
    pick,
    promoted,
    slices_of,
    uniforms,
)
from benchmarks.calibration.table import Block, Cell
from freehold.stats.binary import wilson_limits
from freehold.stats.compare import compare_scores
from freehold.stats.continuous import t_quantile
from freehold.stats.selection import LEAST_CHANCE, TriedCandidate, choose, halving_plan
from freehold.stats.selection.choosing import binary_variances, prospect

RERUNS = 5
KEEPS = 0.7
"""Share of answers that a candidate gives again when it is trained again."""


def false_promotion(runs: int, seed: int) -> Block:
    """Block P: all six are worse by exactly the margin; which way of choosing promotes one of them."""
    block = Block(
        "P",
        "false promote with six candidates",
        f"Six candidates, each worse by exactly the margin; {runs} stories a row, seed {seed}. The rule chooses one "
        f"on the selection items (the cheapest with a chance of {LEAST_CHANCE:.0%} to be promoted, else the one "
        "with the best chance) and looks at it once on the held-out items. In italics: the best of the six on the "
        "held-out items, uncorrected. Correlated: the candidates share 70 % of the variance of their answers. "
        f"Clustered: items in fives, ICC 0.5. Re-runs: all six are trained again {RERUNS - 1} times and keep "
        f"{KEEPS:.0%} of their answers, chosen on the same selection items, looked at on the same held-out items; "
        "any promote counts.",
        "at most 0.025",
        (
            "candidates",
            "margin",
            "selection",
            "held out",
            "rule",
            "95 % interval",
            "*best of six*",
            "alpha / 6 each",
        ),
    )
    rng = np.random.default_rng(seed)
    for splits in (SMALL, LARGE):
        _row(block, "independent", splits, runs, _plain(rng, splits, runs))
        _row(block, "independent, halving", splits, runs, _with_halving(rng, splits, runs))
        _row(block, "correlated", splits, runs, _by_items(rng, splits, runs, 0.7))
        _row(block, "clustered", splits, runs, _clustered(rng, splits, runs, 0.0))
    _row(block, "clustered and correlated", SMALL, runs, _clustered(rng, SMALL, runs, 0.7))
    counted_looks, each = _rerun(rng, SMALL, runs)
    _row(block, f"{RERUNS} re-runs, looks counted", SMALL, runs, counted_looks)
    low = _interval(each[0], runs)
    block.rows.append(
        (
            "*re-runs, each taken for the first*",
            *_splits(SMALL),
            Cell(each[0] / runs, ALPHA, naive=True),
            low,
            "—",
            "—",
        )
    )
    return block


class _Hits(NamedTuple):
    """Stories in which something is promoted: by the rule, by the best of six uncorrected, by alpha / 6."""

    rule: int
    best: int
    divided: int


def _splits(splits: Splits) -> tuple[str, str, str]:
    return f"{splits.margin:g}", f"{splits.selection:,}", f"{splits.held_out:,}"


def _row(block: Block, name: str, splits: Splits, runs: int, hits: _Hits) -> None:
    block.rows.append(
        (
            name,
            *_splits(splits),
            Cell(hits.rule / runs, ALPHA, runs=runs),
            _interval(hits.rule, runs),
            Cell(hits.best / runs, ALPHA, naive=True),
            Cell(hits.divided / runs, ALPHA, runs=runs),
        )
    )


def _interval(hits: int, runs: int) -> str:
    low, high = wilson_limits(hits, runs, ALPHA)
    return f"{low:.4f} to {high:.4f}"


def _hits(chosen: np.ndarray, held_out: Counts, splits: Splits) -> _Hits:
    uncorrected = promoted(held_out, splits)
    return _Hits(
        int(uncorrected[np.arange(len(chosen)), chosen].sum()),
        int(uncorrected.any(axis=1).sum()),
        int(promoted(held_out, splits, ALPHA / CANDIDATES).any(axis=1).sum()),
    )


def _plain(rng: np.random.Generator, splits: Splits, runs: int) -> _Hits:
    truth = np.full((runs, CANDIDATES), -splits.margin)
    seen = independent(rng, splits.selection, splits.win, truth)
    held_out = independent(rng, splits.held_out, splits.win, truth)
    chosen = pick(chances(seen, splits.selection, splits))
    check(seen, held_out, splits, chosen, promoted(held_out, splits)[np.arange(runs), chosen])
    return _hits(chosen, held_out, splits)


def _with_halving(rng: np.random.Generator, splits: Splits, runs: int) -> _Hits:
    plan = halving_plan(splits.selection, CANDIDATES)
    truth = np.full((runs, CANDIDATES), -splits.margin)
    slices = slices_of(rng, plan, splits.win, truth)
    chosen, _ = halved(slices, plan, splits)
    check_halving(slices, plan, splits, chosen)
    return _hits(chosen, independent(rng, splits.held_out, splits.win, truth), splits)


def _by_items(rng: np.random.Generator, splits: Splits, runs: int, shared: float) -> _Hits:
    found = []
    for batch in batches(runs, splits.selection + splits.held_out):
        seen, held_out = (
            counted(outcomes(uniforms(rng, batch, n, shared), splits.win, splits.margin))
            for n in (splits.selection, splits.held_out)
        )
        found.append(_hits(pick(chances(seen, splits.selection, splits)), held_out, splits))
    return _Hits(*np.sum(found, axis=0).tolist())


def _clustered(rng: np.random.Generator, splits: Splits, runs: int, shared: float) -> _Hits:
    """Items in fives; an item takes its cluster's outcome with probability sqrt(0.5)."""
    found = []
    for batch in batches(runs, splits.selection + splits.held_out):
        seen, held_out = (
            _in_fives(rng, batch, n, shared, splits) for n in (splits.selection, splits.held_out)
        )
        chosen = pick(_clustered_chances(seen, splits))
        rows = np.arange(batch)
        uncorrected, divided = (
            np.stack(
                [_clustered_promotes(held_out[:, place], splits, alpha) for place in range(CANDIDATES)],
                axis=1,
            )
            for alpha in (ALPHA, ALPHA / CANDIDATES)
        )
        if not found:
            _check_clustered(seen, held_out, splits, chosen, uncorrected[rows, chosen])
        found.append(
            (uncorrected[rows, chosen].sum(), uncorrected.any(axis=1).sum(), divided.any(axis=1).sum())
        )
    return _Hits(*np.sum(found, axis=0).tolist())


def _in_fives(rng: np.random.Generator, stories: int, n: int, shared: float, splits: Splits) -> np.ndarray:
    own = outcomes(uniforms(rng, stories, n, shared), splits.win, splits.margin)
    common = outcomes(uniforms(rng, stories, n // 5, shared), splits.win, splits.margin)
    takes = rng.random(own.shape, dtype=np.float32) < np.sqrt(0.5)
    return np.where(takes, np.repeat(common, 5, axis=2), own)


def _clustered_promotes(d: np.ndarray, splits: Splits, alpha: float) -> np.ndarray:
    n = d.shape[1]
    sizes = np.full(n // 5, 5)
    return clustered_decisions(d, sizes, np.arange(0, n, 5), margin=splits.margin, alpha=alpha)[0]


def _clustered_chances(d: np.ndarray, splits: Splits) -> np.ndarray:
    seen, n = counted(d), d.shape[2]
    k = n // 5
    sums = d.reshape(*d.shape[:2], k, 5).sum(axis=3)
    mean = (seen.wins - seen.losses) / n
    variance = k / (k - 1) * np.square(sums - 5 * mean[..., None]).sum(axis=2) / n**2
    alone = ((seen.wins + seen.losses) / n - mean**2) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(alone > 0, np.clip(variance / alone, 1, 5), 5)
    under_margin, observed = binary_variances(seen.wins, seen.losses, n, splits.margin)
    return prospect(
        mean,
        (under_margin * effect, observed * effect),
        sizes=(n, splits.held_out),
        margin=splits.margin,
        quantile=t_quantile(ALPHA, splits.held_out // 5 - 1),
    ).chance


def _check_clustered(
    seen: np.ndarray, held_out: np.ndarray, splits: Splits, chosen: np.ndarray, passes: np.ndarray
) -> None:
    def codes(n: int) -> np.ndarray:
        return np.repeat(np.arange(n // 5), 5)

    for story in range(CHECKED):
        tried = [
            TriedCandidate(
                name=str(place),
                cost=float(place),
                differences=seen[story, place].astype(float),
                codes=codes(splits.selection),
            )
            for place in range(CANDIDATES)
        ]
        assert choose(tried, splits.rule).chosen == str(chosen[story])
        d = held_out[story, chosen[story]]
        found = compare_scores(
            [str(place) for place in range(len(d))],
            (d <= 0).astype(float).tolist(),
            (d >= 0).astype(float).tolist(),
            splits.decision,
            clusters=[str(code) for code in codes(splits.held_out)],
        )
        # The verdict asks more: whole clusters may be lost.
        assert (found.verdict == "promote") <= bool(passes[story])


def _rerun(rng: np.random.Generator, splits: Splits, runs: int) -> tuple[_Hits, _Hits]:
    """All candidates are trained again and again on the same splits: looks that share alpha, and looks that do not."""
    shared, each = [], []
    for batch in batches(runs, splits.selection + splits.held_out):
        n = splits.selection + splits.held_out
        uniform = uniforms(rng, batch, n, 0.7)
        told = []
        for number in range(RERUNS):
            if number:
                again = rng.random(uniform.shape, dtype=np.float32) >= KEEPS
                uniform = np.where(again, uniforms(rng, batch, n, 0.7), uniform)
            d = outcomes(uniform, splits.win, splits.margin)
            seen, held_out = counted(d[:, :, : splits.selection]), counted(d[:, :, splits.selection :])
            chosen = pick(chances(seen, splits.selection, splits))
            one = np.arange(batch), chosen
            told.append(
                (
                    promoted(held_out, splits, ALPHA / RERUNS)[one],
                    promoted(held_out, splits)[one],
                    promoted(held_out, splits).any(axis=1),
                    promoted(held_out, splits, ALPHA / CANDIDATES / RERUNS).any(axis=1),
                )
            )
        ever = np.array(told).any(axis=0).sum(axis=1)
        shared.append((ever[0], ever[2], ever[3]))
        each.append((ever[1], 0, 0))
    return _Hits(*np.sum(shared, axis=0).tolist()), _Hits(*np.sum(each, axis=0).tolist())
