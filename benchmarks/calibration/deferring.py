"""Blocks T and U: mixtures are planned on the selection split and tested in their order; how true its confidence is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.calibration.mixture_stories import (
    ALPHA,
    CELLS,
    FIVES,
    LEAST_SHARE,
    Plan,
    Story,
    counts_of,
    drawn,
    oracle,
    story,
    tell,
    tested,
)
from benchmarks.calibration.table import Block, Cell
from freehold.stats.binary import Floats, wilson_limits
from freehold.stats.compare import outcome_of
from freehold.stats.deferral import fit_calibration, mixture_curve
from freehold.stats.rules import DecisionRule

_WIN = 0.01
_CHECKED = 3


def _steep(u: Floats) -> Floats:
    return (1 - u) ** 3 + 0.02


def _shallow(u: Floats) -> Floats:
    return 1 - u + 0.2


def _top_wrong(u: Floats) -> Floats:
    return _steep(u) + 0.3 * (u > 0.97)


def _crossing(name: str, shape: Callable[[Floats], Floats], share: float, margin: float) -> Story:
    """Losses of this shape, as many as bring the mixture to exactly the margin at `share`."""
    u = (np.arange(CELLS) + 0.5) / CELLS
    top = u > 1 - share
    scale = (margin + _WIN * top.mean()) / shape(u)[top].sum() * CELLS
    return story(name, lambda at: scale * shape(at), _WIN)


def _shaped(name: str, loss: Floats, win: Floats, losses: float, wins: float) -> Story:
    """Losses and wins of these shapes, as often as said in all."""
    return Story(name, loss * losses / loss.mean(), win * wins / win.mean())


def stories(margin: float) -> dict[str, Story]:
    u = (np.arange(CELLS) + 0.5) / CELLS
    level, four_times, unsure = np.ones(CELLS), 4.0 ** (1 - u), _steep(u)
    made = (
        _crossing("telling", _steep, 0.7, margin),
        _crossing("weakly telling", _shallow, 0.6, margin),
        _crossing("surest 3 % often wrong", _top_wrong, 0.7, margin),
        _crossing(
            "beyond the margin at every share", lambda u: (1 - u) ** 2 + 0.1, LEAST_SHARE - 1 / CELLS, margin
        ),
        _crossing("random", np.ones_like, 0.6, margin),
        _shaped("many differ, alone +3.6", four_times, level, 0.182, 0.218),
        _shaped("many differ, alone 0", four_times, level, 0.2, 0.2),
        *(
            _shaped(f"few differ, alone −{points:g}", unsure, level, 0.02 + points / 100, 0.02)
            for points in (1.5, 3, 6)
        ),
        _shaped("wins where unsure, too", unsure, unsure, 0.0875, 0.0725),
    )
    return {one.name: one for one in made}


def _plans(*, full: bool) -> list[tuple[str, Plan]]:
    """Which stories are told, at which sizes."""
    sizes = (200, 500, 1000, 2000) if full else (500,)
    rows = [
        ("telling", Plan(n, 1000, 0.03, clustered=clustered)) for clustered in (False, True) for n in sizes
    ]
    if full:
        rows += [("telling", Plan(1000, held_out, 0.03)) for held_out in (300, 3000)]
        rows += [
            ("telling", Plan(1000, 1000, margin, clustered=clustered))
            for margin in (0.02, 0.05)
            for clustered in (False, True)
        ]
    n = 1000 if full else 500
    for name in ("weakly telling", "surest 3 % often wrong", "beyond the margin at every share", "random"):
        rows += [(name, Plan(n, 1000, 0.03)), (name, Plan(n, 1000, 0.03, clustered=True))]
    for name in ("many differ, alone +3.6", "many differ, alone 0", "few differ, alone −1.5", "few differ, alone −3",
                 "few differ, alone −6"):  # fmt: skip
        rows.append((name, Plan(405, 471, 0.03)))
    rows.append(("wins where unsure, too", Plan(250, 471, 0.03)))
    return rows


def mixtures(runs: int, seed: int, *, full: bool) -> Block:
    """Block T: mixtures that are promoted although they lose more than the margin, and how large a share is proven."""
    block = Block(
        "T",
        "false promote of a mixture, and the share that is proven",
        f"{runs} projects a row, seed {seed}, from plan to the look: the selection split gives thresholds that answer "
        f"{LEAST_SHARE:.0%}, 22 %, ... of its samples, the held-out samples test them in that order and the candidate "
        "alone last, each at the whole alpha, to the first that is not promoted. The true loss at every threshold is "
        "known exactly. Telling, weakly telling: losses thin out quickly or slowly with confidence, and the mixture "
        "reaches exactly the margin at a share of 70 or 60 %. Surest 3 % often wrong: the same with wrong answers "
        "among the surest. Random: confidence says nothing. Many differ: on 40 % of samples one is right and the "
        "other not, losses up to four times as often where unsure. Few differ: 2 % wins, losses almost only where "
        "unsure. Wins where unsure, too: both are. Fives: samples of one user come in fives, and take after each other "
        "with probability 0.71. Some: a share was proven. Proven: the largest, mean over all projects, none as 0 and "
        "the candidate alone as 1. Alone: it was. Beyond: one that loses more than the margin was promoted. Taken: the "
        "share that is taken unless its owner says otherwise, and what it truly loses, in points. Margin's oracle: the "
        "largest share whose true loss is within the margin, which no proof can show.",
        "beyond: at most 0.025 of projects",
        (
            "confidence",
            "fives",
            "margin",
            "selection",
            "held out",
            "some",
            "proven",
            "alone",
            "beyond",
            "95 % interval",
            "taken",
            "its loss",
            "margin's oracle",
        ),
    )
    rng = np.random.default_rng(seed)
    for name, plan in _plans(full=full):
        block.rows.append(_row(rng, name, plan, runs))
    return block


def _row(rng: np.random.Generator, name: str, plan: Plan, runs: int) -> tuple[str | Cell, ...]:
    one = stories(plan.margin)[name]
    _check(rng, one, plan)
    told = tell(rng, one, plan, runs)
    false = int(told.beyond.sum())
    low, high = wilson_limits(false, runs, ALPHA)
    some = told.proven > 0
    return (
        name,
        "yes" if plan.clustered else "no",
        f"{plan.margin:g}",
        f"{plan.selection:,}",
        f"{plan.held_out:,}",
        f"{some.mean():.3f}",
        f"{told.proven.mean():.3f}",
        f"{(told.proven == 1).mean():.3f}",
        Cell(false / runs, ALPHA, runs=runs),
        f"{low:.4f} to {high:.4f}",
        f"{told.taken.mean():.3f}",
        f"{100 * told.lost[some].mean():.1f}" if some.any() else "—",
        f"{oracle(one, plan.margin):.2f}",
    )


def _check(rng: np.random.Generator, one: Story, plan: Plan) -> None:
    """The first projects, put to the product's functions, and once more with another claim of the same order."""
    u, d = drawn(rng, one, plan, _CHECKED, plan.selection)
    rule = DecisionRule(margin=plan.margin, alpha=ALPHA)
    counts = counts_of(plan.selection)
    for raw, differences in zip(u, d, strict=True):
        for claimed in (raw, raw**8):
            curve, _ = mixture_curve(
                "probability",
                claimed,
                differences.astype(float),
                codes=None,
                rule=rule,
                least_share=LEAST_SHARE,
            )
            ordered = differences[np.argsort(-raw)]
            assert [(one.share, one.difference) for one in curve.points] == [
                (count / plan.selection, ordered[:count].sum() / plan.selection) for count in counts.tolist()
            ]
    if plan.clustered:
        return  # block E holds these limits against the product's
    u, d = drawn(rng, one, plan, _CHECKED, plan.held_out)
    cuts = 1 - np.broadcast_to(counts / plan.selection, (_CHECKED, len(counts)))
    for raw, differences, at, found in zip(u, d, cuts, tested(u, d, cuts, plan), strict=True):
        going = True
        for cut, promoted in zip(at, found, strict=True):
            mixed = np.where(raw >= cut, differences, 0).astype(float)
            incumbent = 1 - np.maximum(mixed, 0)
            going = going and outcome_of(incumbent, incumbent + mixed, rule) == "promote"
            assert going == promoted


def calibrations(runs: int, seed: int) -> Block:
    """Block U: how far calibrated probabilities are from the true ones."""
    block = Block(
        "U",
        "calibration of confidence",
        "Answers that are right with a known probability p (Beta(4, 1), mean 0.8), and confidences that claim p, its "
        f"square root (too sure) or its cube (too unsure); {runs} fits a row, seed {seed}. Error: mean distance "
        "between stated and true probability over all answers, before and after the fit.",
        "the mean error after the fit at most 0.05 from 500 samples on, and below the error before where the "
        "confidence was off",
        ("claims", "fives", "n", "error before", "after the fit"),
    )
    rng = np.random.default_rng(seed)
    for name, power in (("p", 1.0), ("square root of p", 0.5), ("cube of p", 3.0)):
        for clustered in (False, True):
            for n in (200, 500, 1000, 2000):
                found = np.array([_fitted(rng, n, power, clustered=clustered) for _ in range(runs)])
                before, after = found.mean(axis=0)
                least = before if power != 1 else 1.0
                block.rows.append(
                    (
                        name,
                        "yes" if clustered else "no",
                        f"{n:,}",
                        Cell(before),
                        Cell(after, min(0.05, least) if n >= 500 else None),
                    )
                )
    return block


def _fitted(rng: np.random.Generator, n: int, power: float, *, clustered: bool) -> tuple[float, float]:
    """Mean true error before and after the fit."""
    p, luck = rng.beta(4, 1, n), rng.random(n)
    codes = np.arange(n)
    if clustered:
        codes = np.arange(n) // FIVES
        alike = rng.random(n) < np.sqrt(0.5)
        p, luck = np.where(alike, p[codes], p), np.where(alike, luck[codes], luck)
    good, claimed = luck < p, p**power
    fit = fit_calibration(claimed, good)
    true = rng.beta(4, 1, 2000)
    after = np.interp(true**power, fit.raw, fit.probability)
    return float(np.abs(true**power - true).mean()), float(np.abs(after - true).mean())
