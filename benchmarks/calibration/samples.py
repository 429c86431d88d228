"""Blocks E to I: clusters, continuous scores, unscored pairs, slices, judges; by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np

from benchmarks.calibration import bare_counts
from benchmarks.calibration.table import Block, Cell
from freehold.stats import clustered as clustered_room
from freehold.stats import exact, judges
from freehold.stats.binary import tango_ci, tango_statistic, z_quantile
from freehold.stats.clustered import clump_limits, clustered_binary_limits
from freehold.stats.compare import outcome_of
from freehold.stats.continuous import continuous_limits, t_quantile
from freehold.stats.rules import STRICT, DecisionRule

ALPHA = 0.025


def clustered(runs: int, seed: int, sizes=(10, 20, 50, 200)) -> Block:
    block = Block(
        "E",
        "false promote, clustered binary pairs",
        f"Worse by exactly the margin (0.05), {runs} runs a row. Each item takes its cluster's outcome with "
        "probability sqrt(ICC). Below 20 clusters nothing is promoted; the figure is for the limit alone. Beside "
        "the rule: without its allowance for unseen clumps. In italics: the sandwich alone, and items treated as "
        "independent.",
        "at most 0.025 from 50 clusters, 0.035 from 20",
        ("clusters", "sizes", "ICC", "win rate", "rule", "no allowance", "*sandwich alone*", "*independent*"),
    )
    rng = np.random.default_rng(seed)
    margin = 0.05
    failed = {"sandwich": False, "independent": False}
    for k, unequal, icc, win in itertools.product(sizes, (False, True), (0.0, 0.2, 0.5), (0.03, 0.01)):
        m = rng.integers(1, 31, k) if unequal else np.full(k, 5)
        rate, specified, sandwich, independent = _clustered_rates(rng, m, icc, win, margin, runs)
        target = 0.025 if k >= 50 else 0.035 if k >= 20 else None
        failed["sandwich"] |= sandwich > 0.04
        failed["independent"] |= independent > 0.04
        block.rows.append(
            (
                str(k),
                "1 to 30" if unequal else "5",
                str(icc),
                str(win),
                Cell(rate, target, runs=runs),
                Cell(specified),
                Cell(sandwich, 0.025 if sandwich > 0.04 else None, naive=sandwich > 0.04),
                Cell(independent, 0.025 if independent > 0.04 else None, naive=independent > 0.04),
            )
        )
    assert all(failed.values()), "the naive columns no longer fail: the design has lost its teeth"
    return block


def _clustered_rates(
    rng: np.random.Generator, m: np.ndarray, icc: float, win: float, margin: float, runs: int
) -> np.ndarray:
    k, n = len(m), int(m.sum())
    starts = np.concatenate([[0], np.cumsum(m)[:-1]])
    codes = np.repeat(np.arange(k), m)
    promoted, done = np.zeros(4), 0
    while done < runs:
        batch = min(runs - done, max(1, 2_000_000 // n))
        own = _outcomes(rng.random((batch, n), dtype=np.float32), win, margin)
        common = _outcomes(rng.random((batch, k), dtype=np.float32), win, margin)
        takes = rng.random((batch, n), dtype=np.float32) < math.sqrt(icc)
        d = np.where(takes, common[:, codes], own)
        decisions = clustered_decisions(d, m, starts, margin=margin)
        promoted += decisions.sum(axis=1)
        if done == 0:
            for row in range(4):  # the vectorised rule is the product's rule
                values = d[row].astype(float)
                found = clustered_binary_limits(codes, values, margin=margin)
                lower = min(found.lower, clump_limits(codes, values, found).lower)
                assert (lower > -margin + STRICT) == bool(decisions[0, row])
        done += batch
    return promoted / runs


def _outcomes(uniform: np.ndarray, win: float, margin: float) -> np.ndarray:
    return (uniform < win).astype(np.int8) - (uniform > 1 - (win + margin)).astype(np.int8)


def clustered_decisions(
    d: np.ndarray, m: np.ndarray, starts: np.ndarray, *, margin: float, alpha: float = ALPHA
) -> np.ndarray:
    """Promote decisions of the rule, without its allowance, of the sandwich and of independent scores: (4, runs)."""
    k, n = len(m), int(m.sum())
    sums = np.add.reduceat(d.astype(np.int32), starts, axis=1)
    wins, losses = (d > 0).sum(axis=1), (d < 0).sum(axis=1)
    mean = (wins - losses) / n
    variance = k / (k - 1) * np.square(sums - mean[:, None] * m).sum(axis=1) / n**2
    independent = ((wins + losses) / n - mean**2) / n
    largest = float((m**2).sum()) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(independent > 0, np.clip(variance / independent, 1, largest), largest)
    t = t_quantile(alpha, k - 1)
    sandwich = mean - t * np.sqrt(variance) > -margin
    score = tango_statistic(wins / effect, losses / effect, n / effect, -margin) > t
    unequal = k * largest / n - 1
    weight = np.minimum(np.maximum(largest / effect - 4, 0) + 16 * unequal, 5)
    moved = (sums != 0).sum(axis=1)
    unseen = np.where(
        weight + moved > 0, (weight * largest + moved * effect) / np.maximum(weight + moved, 1e-9), effect
    )
    clumps = tango_statistic(wins / unseen, losses / unseen, n / unseen, -margin) > t
    independent_score = tango_statistic(wins, losses, n, -margin) > z_quantile(alpha)
    return np.stack([sandwich & score & clumps, sandwich & score, sandwich, independent_score])


def heavy_users(runs: int, seed: int, counts=(50, 200, 500)) -> Block:
    block = Block(
        "E2",
        "false promote, heavy users",
        "Worse by exactly the margin: few users lose half or all of their items (0/1 scores, or 0.49 of a graded one), "
        f"the larger rate is shown; 2 % of the other items are won and lost alike. {runs} runs a cell. At most "
        f"{clustered_room.MOST_OF_A_UNIT} items of a user count. In italics: all items count, by the same limits.",
        "at most 0.03",
        ("scores", "sizes", "users", "margin", "rule", "*all items*"),
    )
    rng = np.random.default_rng(seed)
    for graded, kind, users, margin in itertools.product((False, True), SIZES, counts, (0.02, 0.05)):
        rates = np.array(
            [
                [_heavy_rate(rng, graded, kind, users, margin, part, most, runs) for most in (5, None)]
                for part in (0.5, 1.0)
            ]
        ).max(axis=0)
        block.rows.append(
            (
                "graded" if graded else "0/1",
                kind,
                str(users),
                str(margin),
                Cell(rates[0], 0.03, runs=runs),
                _beyond(rates[1], 0.03, 0.05, runs),
            )
        )
    return block


SIZES = {
    "5": lambda rng, users: np.full(users, 5),
    "1 to 30": lambda rng, users: rng.integers(1, 31, users),
    "lognormal": lambda rng, users: np.maximum(1, np.round(np.exp(rng.normal(1.0, 1.2, users)))).astype(int),
    "Pareto": lambda rng, users: np.minimum((1 - rng.random(users)) ** (-1 / 1.2), 2000).astype(int),
}


def _heavy_rate(rng, graded, kind, users, margin, part, most, runs) -> float:
    loss, rule, promoted = 0.49 if graded else 1.0, DecisionRule(margin=margin), 0
    for _ in range(runs):
        codes = np.repeat(np.arange(users), SIZES[kind](rng, users))
        hit = (rng.random(users) < margin / (loss * part))[codes] & (rng.random(len(codes)) < part)
        noise = rng.random(len(codes))
        other = np.where(noise < 0.02, 1.0, np.where(noise > 0.98, -1.0, 0.0)) * (0.1 if graded else 1.0)
        d = np.where(hit, -loss, other)
        if most is not None:
            kept = clustered_room.drawn(codes, rng.permutation(len(codes)), most)
            codes, d = codes[kept], d[kept]
        if clustered_room.cluster_robust_mean(codes, d).lower <= -margin:
            continue  # the rule's limit is never above this one
        promoted += outcome_of(np.minimum(1 - d, 1), np.minimum(1 + d, 1), rule, codes=codes) == "promote"
    return promoted / runs


def continuous(runs: int, seed: int, sizes=(30, 100, 300)) -> Block:
    block = Block(
        "F",
        "false promote, continuous scores",
        f"Mean difference exactly minus the margin (0.05), {runs} runs a cell. In italics: the t interval alone.",
        "at most 0.03 from n = 100, 0.04 at n = 30",
        ("differences", "n", "rule", "*t alone*"),
    )
    rng = np.random.default_rng(seed)
    margin = 0.05
    kinds = {
        "beta": lambda shape: 2 * rng.beta(4.75, 5.25, shape) - 1,
        "80 % zeros": lambda shape: np.where(rng.random(shape) < 0.8, 0.0, rng.uniform(-1, 0.5, shape)),
        "left-skewed": lambda shape: np.maximum(0.05 - rng.gamma(2.0, 0.05, shape), -1.0),
    }
    for name, draw in kinds.items():
        for n in sizes:
            d = draw((runs, n))
            lower = d.mean(axis=1) - t_quantile(ALPHA, n - 1) * d.std(axis=1, ddof=1) / math.sqrt(n)
            passing = np.flatnonzero(lower > -margin)  # the rule's limit is never above t's
            promoted = sum(
                (continuous_limits(d[row], margin=margin, seed=int(row)).lower or -1) > -margin
                for row in passing
            )
            block.rows.append(
                (
                    name,
                    str(n),
                    Cell(promoted / runs, 0.03 if n >= 100 else 0.04, runs=runs),
                    Cell(len(passing) / runs),
                )
            )
    return block


def unscored(runs: int, seed: int) -> Block:
    block = Block(
        "G",
        "unscored pairs",
        f"1,000 pairs, worse by exactly the margin (0.02, win rate 0.02); 2 % unscored at random, or a third of "
        f"the losses unscored; {runs} runs. In italics: unscored pairs ignored.",
        "at most 0.025",
        ("unscored", "rule", "*ignored*"),
    )
    rng = np.random.default_rng(seed)
    n, margin, win = 1000, 0.02, 0.02
    threshold = exact.critical_value(n, -margin, ALPHA)
    wins, losses, ties = rng.multinomial(n, [win, win + margin, 1 - 2 * win - margin], size=runs).T
    for name, gone in (
        ("2 % at random", [rng.binomial(count, 0.02) for count in (wins, losses, ties)]),
        ("a third of the losses", [0 * wins, rng.binomial(losses, 1 / 3), 0 * ties]),
        (
            "losses only, a quarter of the margin",
            [0 * wins, np.minimum(losses, int(n * margin / 4)), 0 * ties],
        ),
    ):
        missing = sum(gone)
        b, c, scored = wins - gone[0], losses - gone[1], n - missing
        complete = tango_statistic(b, c, scored, -margin) > z_quantile(ALPHA)
        worst = tango_statistic(b, c + missing, n, -margin) >= threshold
        promoted = complete & worst
        for row in range(5):
            found = bare_counts.paired_binary_verdict(
                int(b[row]),
                int(c[row]),
                int(scored[row]),
                DecisionRule(margin=margin),
                unscored_pairs=int(missing[row]),
            )
            assert (found.verdict == "promote") <= bool(promoted[row])
        ignored = float(complete.mean())
        fails = name != "2 % at random"
        block.rows.append(
            (
                name,
                Cell(float(promoted.mean()), ALPHA, runs=runs),
                Cell(ignored, ALPHA if fails else None, naive=fails),
            )
        )
    return block


def sliced(runs: int, seed: int) -> Block:
    block = Block(
        "H",
        "slices",
        f"20 slices of 60 pairs, slice margin 0.05, win rate 0.05; {runs} runs. In italics: no correction for 20.",
        "any false veto at most 0.05",
        ("truth", "any flag", "*any flag, uncorrected*", "harmful slice found"),
    )
    rng = np.random.default_rng(seed)
    n, margin, win = 60, 0.05, 0.05
    for name, drop in (("all at the slice margin", None), ("one drops by 30 points", 0.30)):
        flags = raw = hits = 0
        for _ in range(runs):
            losses = np.full(20, win + margin if drop is None else win)
            if drop is not None:
                losses[0] = win + drop
            counts = [rng.multinomial(n, [win, loss, 1 - win - loss]) for loss in losses]
            found = bare_counts.slice_harm(
                [bare_counts.SliceCounts(str(i), int(b), int(c), n) for i, (b, c, _) in enumerate(counts)],
                margin=margin,
            )
            flags += any(flag != "0" or drop is None for flag in found.flagged)
            raw += any(p <= 0.05 for i, p in enumerate(found.p_harm) if i or drop is None)
            hits += "0" in found.flagged
        null = drop is None
        block.rows.append(
            (
                name,
                Cell(flags / runs, 0.05, runs=runs),
                Cell(raw / runs, 0.05 if null else None, naive=null),
                Cell(hits / runs) if not null else "—",
            )
        )
    return block


def judged(runs: int, seed: int) -> Block:
    block = Block(
        "I",
        "model judge",
        f"1,000 further items; the judge is right on 85 % of items and its mean is off by the bias; {runs} runs. The "
        "corrected difference is what a verdict is made from. In italics: the judge's own interval, and t limits that "
        "know no ends of the scale.",
        "corrected limits cover in at least 0.94, and the lower one is too high in at most 0.035",
        (
            "losses, ties, wins",
            "bias",
            "human labels",
            "covers",
            "lower limit too high",
            "*judge alone covers*",
            "*t limits cover*",
            "half-width",
            "half-width, humans alone",
        ),
    )
    rng = np.random.default_rng(seed)
    for shares in ((0.10, 0.75, 0.15), (0.10, 0.90, 0.0), (0.02, 0.10, 0.88)):
        true = shares[2] - shares[0]
        for bias in (-0.05, 0.05):
            for n in (50, 100, 200):
                covered = high = alone = plain = 0
                width = humans = 0.0
                for _ in range(runs):
                    truth = rng.choice([-1.0, 0.0, 1.0], size=n + 1000, p=shares)
                    judge = np.where(rng.random(n + 1000) < 0.85, truth, rng.permutation(truth))
                    judge = np.clip(judge + np.sign(bias) * (rng.random(n + 1000) < abs(bias) * 1.25), -1, 1)
                    found = judges.ppi_mean(truth[:n], judge[:n], judge[n:])
                    covered += found.lower <= true <= found.upper
                    high += found.lower > true
                    se = judge.std(ddof=1) / math.sqrt(len(judge))
                    alone += abs(judge.mean() - true) <= z_quantile(ALPHA) * se
                    plain += abs(found.estimate - true) <= t_quantile(ALPHA, n - 1) * found.se
                    width += (found.upper - found.lower) / 2 / runs
                    humans += t_quantile(ALPHA, n - 1) * truth[:n].std(ddof=1) / math.sqrt(n) / runs
                block.rows.append(
                    (
                        ", ".join(f"{one:g}" for one in shares),
                        f"{bias:+.2f}",
                        str(n),
                        Cell(covered / runs, 0.94, "at least", runs=runs),
                        Cell(high / runs, 0.035, runs=runs),
                        _shown(alone / runs, runs),
                        _shown(plain / runs, runs),
                        Cell(width),
                        Cell(humans),
                    )
                )
    return block


def graded_by_a_judge(runs: int, seed: int) -> Block:
    block = Block(
        "I2",
        "a judge that grades, and misses rare losses",
        "Worse by exactly the margin: rare answers lose everything, three in ten of the others move a grade up or "
        f"down. The judge is a grade off on two in ten, and misses all or half of the losses. {runs} runs a cell. In "
        "italics: the corrected limits alone.",
        "at most 0.025",
        ("labels", "margin", "losses missed", "rule", "*limits alone*"),
    )
    rng = np.random.default_rng(seed)
    for n, margin, missed in itertools.product((50, 100, 200), (0.03, 0.05), (1.0, 0.5)):
        alone = promoted = 0
        for _ in range(runs):
            lost, moved, off, seen = rng.random((4, n + 1000))
            truth = np.where(lost < margin, -1.0, 0.25 * ((moved > 0.85) * 1.0 - (moved < 0.15)))
            judge = np.where((lost < margin) & (seen < missed), 0.0, truth)
            judge = np.clip(judge + 0.25 * ((off > 0.9) * 1.0 - (off < 0.1)), -1, 1)
            found = judges.ppi_mean(truth[:n], judge[:n], judge[n:], margin=margin)
            passes = found.lower > -margin
            alone += passes
            promoted += passes and (found.p_rare_loss or 0.0) <= ALPHA
        block.rows.append(
            (
                str(n),
                str(margin),
                f"{missed:.0%}",
                Cell(promoted / runs, ALPHA, runs=runs),
                _beyond(alone / runs, ALPHA, 0.04, runs),
            )
        )
    return block


def _beyond(rate: float, target: float, shown_from: float, runs: int) -> Cell:
    """What is commonly done, in italics where it misses the target beyond chance, from `shown_from` on."""
    cell = Cell(rate, target, runs=runs)
    return Cell(rate) if rate <= shown_from or cell.holds else Cell(rate, target, runs=runs, naive=True)


def _shown(covered: float, runs: int) -> Cell:
    """What is commonly done, in italics where it misses the target."""
    cell = Cell(covered, 0.94, "at least", runs=runs)
    return Cell(covered) if cell.holds else Cell(covered, 0.94, "at least", runs=runs, naive=True)


def agreement_interval() -> tuple[float, float]:
    """Limits for 20 identical items, quoted in the page's introduction."""
    found = tango_ci(0, 0, 20)
    assert found.lower is not None
    assert found.upper is not None
    return found.lower, found.upper
