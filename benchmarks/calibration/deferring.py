"""Blocks T and U: a mixture is chosen on the selection split and looked at once; how true its confidence is."""

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
    choose,
    drawn,
    oracle,
    oracle_before_a_look,
    story,
    tell,
)
from benchmarks.calibration.table import Block, Cell
from freehold.stats.binary import Floats, wilson_limits
from freehold.stats.deferral import (
    best_way,
    calibrated,
    calibration_error,
    confidence_quality,
    fit_calibration,
    mixture_curve,
)
from freehold.stats.deferral.threshold import EVEN_CHANCE
from freehold.stats.selection import LEAST_CHANCE

_WIN = 0.01
_CHECKED = 3
_LOOKS = 1000


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


def _stories(margin: float) -> dict[str, Story]:
    return {
        "telling": _crossing("telling", _steep, 0.7, margin),
        "weakly telling": _crossing("weakly telling", _shallow, 0.6, margin),
        "surest 3 % often wrong": _crossing("surest 3 % often wrong", _top_wrong, 0.7, margin),
        "beyond the margin at every share": _crossing(
            "beyond the margin at every share", lambda u: (1 - u) ** 2 + 0.1, LEAST_SHARE - 1 / CELLS, margin
        ),
        "random": _crossing("random", np.ones_like, 0.6, margin),
    }


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
    if full:
        rows += [
            (name, Plan(200, 1000, 0.05))
            for name in ("weakly telling", "beyond the margin at every share", "random")
        ]
    return rows


def mixtures(runs: int, seed: int, *, full: bool) -> Block:
    """Block T: mixtures that are accepted although they lose more than the margin, and the share lost to caution."""
    block = Block(
        "T",
        "false promote of a mixture, and the share lost to caution",
        f"{runs} projects a row, seed {seed}, from plan to one look: a threshold is chosen on the selection split "
        f"(learn then test from a share of {LEAST_SHARE:.0%} on; better than a random split; the most share times "
        f"chance of promote where the chance is {LEAST_CHANCE:.0%} or more, else the best chance from "
        f"{EVEN_CHANCE:.0%} on), and the mixture is looked at once on the held-out samples. "
        "Its true loss is known exactly. Telling, weakly telling: losses thin out quickly or slowly with confidence, "
        "and the mixture reaches exactly the margin at a share of 70 or 60 %. Surest 3 % often wrong: the same with "
        "wrong answers among the surest. Random: confidence says nothing. Fives: samples of one user come in fives, "
        "and take after each other with probability 0.71. What a confidence claims in figures changes no threshold "
        "(they go by rank): a claim of its eighth power is checked to give the same. Chosen: a threshold was found. "
        "Threshold beyond: the chosen one loses more than the margin; accepted beyond: and the look said promote. "
        "Share: of the chosen ones, their mean. The margin's oracle knows the true curve and takes all that the "
        "margin allows, which no proof can show. The look's oracle knows it, too, and takes the largest share that "
        f"{LEAST_CHANCE:.0%} of looks at so many held-out samples promote. Proven: the share answered here after the "
        "look, mean over all projects, those without a mixture as 0. Lost to caution: what the look's oracle proves "
        "by the same measure, minus that, in points.",
        "threshold beyond the margin and accepted beyond it: at most 0.025 of projects; a random confidence is chosen "
        "in at most 0.025; at most 10 points lost to caution from 1,000 selection samples on",
        (
            "confidence",
            "fives",
            "margin",
            "selection",
            "held out",
            "chosen",
            "share",
            "promoted of these",
            "threshold beyond",
            "accepted beyond",
            "95 % interval",
            "margin's oracle",
            "below it",
            "look's oracle",
            "proven",
            "lost to caution",
        ),
    )
    rng = np.random.default_rng(seed)
    for name, plan in _plans(full=full):
        block.rows.append(_row(rng, name, plan, runs))
    return block


def _row(rng: np.random.Generator, name: str, plan: Plan, runs: int) -> tuple[str | Cell, ...]:
    one = _stories(plan.margin)[name]
    _check(rng, one, plan)
    told = tell(rng, one, plan, runs)
    chosen = int(told.chosen.sum())
    false = int((told.beyond & told.promoted).sum())
    low, high = wilson_limits(false, runs, ALPHA)
    share = float(told.share[told.chosen].mean()) if chosen else None
    proven = float((told.share * told.promoted).mean())
    best, (able, promoted) = oracle(one, plan.margin), oracle_before_a_look(rng, one, plan, _LOOKS)
    useful = name != "random" and best >= LEAST_SHARE
    return (
        name,
        "yes" if plan.clustered else "no",
        f"{plan.margin:g}",
        f"{plan.selection:,}",
        f"{plan.held_out:,}",
        Cell(chosen / runs, ALPHA if name == "random" else None, runs=runs),
        "—" if share is None else f"{share:.3f}",
        "—" if share is None else f"{told.promoted.sum() / chosen:.3f}",
        Cell(float(told.beyond.mean()), ALPHA, runs=runs),
        Cell(false / runs, ALPHA, runs=runs),
        f"{low:.4f} to {high:.4f}",
        f"{best:.2f}" if useful else "—",
        f"{100 * (best - share):.1f}" if useful and share is not None else "—",
        f"{able:.2f}" if useful and able >= LEAST_SHARE else "—",
        f"{proven:.3f}",
        _lost(100 * (able * promoted - proven), plan) if useful and able >= LEAST_SHARE else "—",
    )


def _lost(points: float, plan: Plan) -> Cell:
    return Cell(points, 10.0 if plan.selection >= 1000 else None, digits=1)


def _check(rng: np.random.Generator, one: Story, plan: Plan) -> None:
    """The first projects, put to the product's function, and once more with another claim of the same order."""
    u, d = drawn(rng, one, plan, _CHECKED, plan.selection)
    order = np.argsort(-u, axis=1)
    codes = np.arange(plan.selection) // FIVES if plan.clustered else None
    places = choose(
        np.take_along_axis(d, order, 1).astype(float), None if codes is None else order // FIVES, plan
    )
    for place, raw, differences in zip(places.tolist(), u, d, strict=True):
        for claimed in (raw, raw**8):
            curve, _ = mixture_curve(
                way="cascade",
                signal="probability",
                raw=claimed,
                differences=differences.astype(float),
                codes=codes,
                margin=plan.margin,
                alpha=ALPHA,
                held_out=plan.held_out,
                least_share=LEAST_SHARE,
            )
            assert curve.chosen == (None if place < 0 else place), (curve.refused, place)


def calibrations(runs: int, seed: int) -> Block:
    """Block U: how far calibrated probabilities are from the true ones."""
    block = Block(
        "U",
        "calibration of confidence",
        "Answers that are right with a known probability p (Beta(4, 1), mean 0.8), and confidences that claim p, its "
        f"square root (too sure) or its cube (too unsure); {runs} fits a row, seed {seed}. Error: mean distance "
        "between stated and true probability over all answers, before and after each fit. Estimated: expected "
        "calibration error over ten bins of equal count, as it is reported; after calibration on folds that were not "
        "fitted. It counts the noise of its bins as error, so it is above the true one where samples are few.",
        "the mean error after the truer fit at most 0.05 from 500 samples on, and below the error before where the "
        "confidence was off",
        (
            "claims",
            "fives",
            "n",
            "error before",
            "isotonic",
            "temperature",
            "logistic",
            "the truer of isotonic and logistic",
            "estimated before",
            "estimated after",
        ),
    )
    rng = np.random.default_rng(seed)
    for name, power in (("p", 1.0), ("square root of p", 0.5), ("cube of p", 3.0)):
        for clustered in (False, True):
            for n in (200, 500, 1000, 2000):
                found = np.array([_fitted(rng, n, power, clustered=clustered) for _ in range(runs)])
                before, isotonic, temperature, logistic, better, estimated, after = found.mean(axis=0)
                least = before if power != 1 else 1.0
                block.rows.append(
                    (
                        name,
                        "yes" if clustered else "no",
                        f"{n:,}",
                        Cell(before),
                        Cell(isotonic),
                        Cell(temperature),
                        Cell(logistic),
                        Cell(better, min(0.05, least) if n >= 500 else None),
                        Cell(estimated),
                        Cell(after),
                    )
                )
    return block


def _fitted(rng: np.random.Generator, n: int, power: float, *, clustered: bool) -> list[float]:
    """Mean true error before and after each fit, and both estimates."""
    p, luck = rng.beta(4, 1, n), rng.random(n)
    codes = np.arange(n)
    if clustered:
        codes = np.arange(n) // FIVES
        alike = rng.random(n) < np.sqrt(0.5)
        p, luck = np.where(alike, p[codes], p), np.where(alike, luck[codes], luck)
    good, claimed = luck < p, p**power
    quality = confidence_quality("probability", claimed, good, codes)
    assert quality.error_before == calibration_error(claimed, good)
    ways = ("isotonic", "temperature", "logistic", best_way(claimed, good, codes))
    fits = [fit_calibration(claimed, good, way=way) for way in ways]
    true = rng.beta(4, 1, 2000)
    errors = [float(np.abs(calibrated(fit, true**power) - true).mean()) for fit in fits]
    before = float(np.abs(true**power - true).mean())
    return [before, *errors, quality.error_before or 0.0, quality.error_after or 0.0]
