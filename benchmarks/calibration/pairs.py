"""Blocks A to D: independent binary pairs, by exact enumeration."""

from __future__ import annotations

import math

import numpy as np
from scipy import special, stats

from benchmarks.calibration.table import Block, Cell
from freehold.stats import exact, power
from freehold.stats.binary import tango_statistic, z_quantile

P0 = (0.7, 0.9, 0.97, 0.995)
FACTORS = (0.1, 0.5)


def enumerate_tables(n: int, win: float, loss: float):
    """All (wins, losses) within 9 standard deviations and their trinomial probabilities."""

    def window(rate: float) -> np.ndarray:
        spread = 9 * math.sqrt(n * rate * (1 - rate)) + 12
        return np.arange(max(0, math.floor(n * rate - spread)), min(n, math.ceil(n * rate + spread)) + 1)

    b, c = np.meshgrid(window(win), window(loss), indexing="ij")
    rest = n - b - c
    with np.errstate(invalid="ignore"):
        log = (
            special.gammaln(n + 1)
            - special.gammaln(b + 1)
            - special.gammaln(c + 1)
            - special.gammaln(rest + 1)
        )
        log = log + special.xlogy(b, win) + special.xlogy(c, loss) + special.xlogy(rest, 1 - win - loss)
    return b, c, np.where(rest >= 0, np.exp(log), 0.0)


def false_promote(sizes: tuple[int, ...], alphas: tuple[float, ...]) -> Block:
    block = Block(
        "A",
        "false promote, binary pairs",
        "Probability that a candidate worse by exactly the margin is promoted, summed over all outcomes. "
        "`p0` is the incumbent's accuracy; the win rate is (1 - p0) times 0.1 / 0.5.",
        "at most alpha in every cell",
        ("alpha", "margin", "n", *(f"p0 {p}: {f}" for p in P0 for f in FACTORS)),
    )
    wins = [(1 - p) * f for p in P0 for f in FACTORS]
    for alpha in alphas:
        for margin in (0.02, 0.05):
            for n in sizes:
                fewest = exact.region(n, -margin, exact.critical_value(n, -margin, alpha))
                rates = [exact.region_probability(fewest, win, win + margin) for win in wins]
                cells = (Cell(float(rate) * (n >= 30), alpha) for rate in rates)
                block.rows.append((str(alpha), str(margin), str(n), *cells))
    return block


def false_reject(sizes: tuple[int, ...], alphas: tuple[float, ...]) -> Block:
    block = Block(
        "B",
        "false reject, binary pairs",
        "The same candidate, worse by exactly the margin, on the other side: rejected as worse by more.",
        "at most alpha in every cell",
        ("alpha", "margin", "n", *(f"p0 {p}: {f}" for p in P0 for f in FACTORS)),
    )
    wins = [(1 - p) * f for p in P0 for f in FACTORS]
    for alpha in alphas:
        for margin in (0.02, 0.05):
            for n in sizes:
                fewest = exact.region(n, margin, exact.critical_value(n, margin, alpha))
                rates = [exact.region_probability(fewest, win + margin, win) for win in wins]
                block.rows.append(
                    (str(alpha), str(margin), str(n), *(Cell(float(rate), alpha) for rate in rates))
                )
    return block


def promise(sizes: tuple[int, ...]) -> Block:
    """The table of margins, sizes and discordances with what the usual intervals do instead."""
    shares = (0.0, 0.01, 0.02, 0.06, 0.1)
    block = Block(
        "A2",
        "false promote at alpha = 0.025, beside the usual interval",
        "Worse by exactly the margin; columns are the share of items only the candidate gets right. In italics: "
        "the normal (Wald) interval, which most tools print.",
        "at most 0.025 in every cell of the rule",
        ("margin", "n", *(f"rule: {s:.0%}" for s in shares), *(f"*Wald: {s:.0%}*" for s in shares)),
    )
    z = z_quantile(0.025)
    for margin in (0.02, 0.03, 0.05):
        for n in sizes:
            fewest = exact.region(n, -margin, exact.critical_value(n, -margin, 0.025))
            cells = [Cell(exact.region_probability(fewest, win, win + margin), 0.025) for win in shares]
            for win in shares:
                b, c, p = enumerate_tables(n, win, win + margin)
                d = (b - c) / n
                lower = d - z * np.sqrt(np.maximum((b + c) / n - d * d, 0) / n)
                rate = float(p[lower > -margin].sum())
                cells.append(Cell(rate, 0.025 if rate > 0.025 else None, naive=rate > 0.025))
            block.rows.append((str(margin), str(n), *cells))
    return block


def power_table(sizes: tuple[int, ...]) -> Block:
    block = Block(
        "C",
        "power",
        "Planner's exact power of the promote rule at alpha = 0.025 against a brute-force sum over all outcomes "
        "(largest difference), and against the normal formula where power is at least 0.8.",
        "the planner equals brute force; the formula is within 5 points",
        (
            "margin",
            "n",
            "discordance",
            "true difference",
            "power",
            "planner - brute force",
            "formula - exact",
        ),
    )
    z = z_quantile(0.025)
    for margin in (0.02, 0.05):
        for n in sizes:
            threshold = exact.critical_value(n, -margin, 0.025)
            for psi in (0.06, 0.2):
                for truth in (0.0, -margin / 2, margin):
                    planned = power.exact_power(n, discordance=psi, margin=margin, true_difference=truth)
                    b, c, p = enumerate_tables(n, (psi + truth) / 2, (psi - truth) / 2)
                    brute = float(p[tango_statistic(b, c, n, -margin) >= threshold].sum())
                    formula = float(stats.norm.cdf((truth + margin) * math.sqrt(n / (psi - truth**2)) - z))
                    block.rows.append(
                        (
                            str(margin),
                            str(n),
                            str(psi),
                            f"{truth:+.3f}",
                            Cell(planned),
                            Cell(abs(planned - brute), 1e-9, digits=12),
                            Cell(abs(formula - planned), 0.05 if planned >= 0.8 else None),
                        )
                    )
    return block


def coverage(tables: int, seed: int) -> Block:
    block = Block(
        "D",
        "coverage of the score interval",
        f"Exact two-sided 95 % coverage at {tables} random settings (n 20 to 1,000, base rates and discordance "
        "random).",
        "mean 0.95 +- 0.01; none with n >= 50 below 0.93",
        ("settings", "mean", "lowest with n >= 50", "highest"),
    )
    rng = np.random.default_rng(seed)
    z, found, large = z_quantile(0.025), [], []
    while len(found) < tables:
        n = int(np.exp(rng.uniform(math.log(20), math.log(1000))))
        p0, psi = rng.uniform(0.5, 0.95), rng.uniform(0.05, 0.5)
        truth = rng.uniform(-0.5, 0.5) * psi
        win, loss = (psi + truth) / 2, (psi - truth) / 2
        if loss > p0 or win > 1 - p0 + 0.3 or n * psi < 5:
            continue
        b, c, p = enumerate_tables(n, win, loss)
        inside = np.abs(tango_statistic(b, c, n, truth)) <= z
        found.append(float(p[inside].sum()))
        if n >= 50:
            large.append(found[-1])
    mean = float(np.mean(found))
    block.rows.append(
        (
            str(tables),
            Cell(mean, 0.94 if mean <= 0.95 else 0.96, "at least" if mean <= 0.95 else "at most"),
            Cell(min(large), 0.93, "at least"),
            Cell(max(found)),
        )
    )
    return block
