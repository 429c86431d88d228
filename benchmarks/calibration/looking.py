"""Blocks J to L and O: continuous looking, detection delay, drift detectors, parity of ends; by simulation."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.calibration.table import Block, Cell
from freehold.stats.binary import tango_statistic, z_quantile
from freehold.stats.sequential import AipwCanary, Exposure, paired_grid_e_process
from freehold.workflows.prove.parity import BATCH, MOST_PROMPTS
from freehold.workflows.prove.parity_judging import ENDS

_POWERS = 2.0 ** -np.arange(10)


def aipw_crossings(
    chosen: np.ndarray, score: np.ndarray, p: float, *, margin: float, alpha: float
) -> np.ndarray:
    """First unit at which `AipwCanary` acts, for every run at once (0: never); arrays of shape (units, runs)."""
    units, runs = chosen.shape
    wealth = np.zeros((10, runs))
    n1, s1, n0, s0 = (np.zeros(runs) for _ in range(4))
    crossed = np.zeros(runs, dtype=np.int64)
    limit = math.log(1 / alpha)
    for t in range(units):
        z, x = chosen[t], score[t]
        m1, m0 = (9.5 + s1) / (10 + n1), (9.5 + s0) / (10 + n0)
        value = m1 - m0 + np.where(z, (x - m1) / p, -(x - m0) / (1 - p))
        reach = margin + (m1 - m0) + np.maximum((1 - m1) / p, m0 / (1 - p))
        wealth += np.log1p(_POWERS[:, None] * (0.9 / reach * (-margin - value)))
        n1, s1 = n1 + z, s1 + z * x
        n0, s0 = n0 + ~z, s0 + ~z * x
        # log mean exp <= max, so the sum is only needed where the largest comes near the limit.
        near = (wealth.max(axis=0) >= limit) & (crossed == 0)
        if near.any():
            rows = np.flatnonzero(near)
            e = np.exp(wealth[:, rows]).mean(axis=0)
            crossed[rows[e >= 1 / alpha]] = t + 1
            if crossed.all():
                break
    return crossed


def _check(
    chosen: np.ndarray, score: np.ndarray, p: float, crossed: np.ndarray, margin: float, alpha: float
) -> None:
    """The vectorised process is the product's: compare two runs unit by unit."""
    for run in range(2):
        units = [
            Exposure(bool(z), float(x), p) for z, x in zip(chosen[:400, run], score[:400, run], strict=True)
        ]
        state = AipwCanary(margin=margin).update(units)
        assert state.crossed(alpha) == bool(0 < crossed[run] <= 400)


def _arms(rng: np.random.Generator, units: int, runs: int, p: float, control: float, drop: float):
    chosen = rng.random((units, runs), dtype=np.float32) < p
    rate = np.where(chosen, np.float32(control - drop), np.float32(control))
    return chosen, (rng.random((units, runs), dtype=np.float32) < rate).astype(np.float32)


def anytime(runs: int, units: int, seed: int, shares=(0.5, 0.1, 0.01)) -> Block:
    margin, alpha = 0.02, 0.01
    block = Block(
        "J",
        "false rollback under continuous looking",
        f"True drop exactly the margin (0.02), {units} units, looked at after each; {runs} runs. In italics: what "
        "is usually done.",
        "at most 0.01 (pairs: 0.025)",
        ("setting", "false rollbacks"),
    )
    rng = np.random.default_rng(seed)
    for p in shares:
        chosen, score = _arms(rng, units, runs, p, 0.95, margin)
        crossed = aipw_crossings(chosen, score, p, margin=margin, alpha=alpha)
        _check(chosen, score, p, crossed, margin, alpha)
        block.rows.append((f"two arms, share {p}", Cell(float((crossed > 0).mean()), alpha, runs=runs)))

    per_user, users = 20, min(units, 10_000) // 20
    rate = rng.beta(0.95, 0.05, (users, runs))
    chosen = rng.random((users, runs)) < 0.5
    own = np.where(chosen, rate * (0.95 - margin) / 0.95, rate)
    successes = rng.binomial(per_user, own)
    one = aipw_crossings(chosen, successes / per_user, 0.5, margin=margin, alpha=alpha)
    block.rows.append(("sticky users, one value each", Cell(float((one > 0).mean()), alpha, runs=runs)))
    requests = rng.random((users, per_user, runs)) < own[:, None, :]
    each = aipw_crossings(
        np.repeat(chosen, per_user, axis=0),
        requests.reshape(users * per_user, runs).astype(float),
        0.5,
        margin=margin,
        alpha=alpha,
    )
    block.rows.append(("*sticky users, every request*", Cell(float((each > 0).mean()), alpha, naive=True)))

    window = min(units, 4000)
    chosen, score = _arms(rng, window, runs, 0.5, 0.95, margin)
    ordered = aipw_crossings(chosen, score, 0.5, margin=margin, alpha=alpha)
    block.rows.append(("late labels, order of exposure", Cell(float((ordered > 0).mean()), alpha, runs=runs)))
    # The candidate's failures are reported at once, everything else up to 1,500 units later.
    delay = np.where(chosen & (score == 0), 0, rng.integers(0, 1500, (window, runs)))
    order = np.argsort(np.arange(window)[:, None] + delay, axis=0, kind="stable")
    arrived = aipw_crossings(
        np.take_along_axis(chosen, order, 0),
        np.take_along_axis(score, order, 0),
        0.5,
        margin=margin,
        alpha=alpha,
    )
    block.rows.append(
        ("*late labels, order of arrival*", Cell(float((arrived > 0).mean()), alpha, naive=True))
    )

    loss, pairs = 0.04, 5000
    uniform = rng.random((runs, pairs), dtype=np.float32)
    d = (uniform < loss - margin).astype(np.int8) - (uniform > 1 - loss).astype(np.int8)
    steps = np.arange(4, pairs, 5)
    wins = np.cumsum(d > 0, axis=1)[:, steps]
    losses = np.cumsum(d < 0, axis=1)[:, steps]
    peeked = (tango_statistic(wins, losses, steps + 1, -margin) < -z_quantile(0.025)).any(axis=1)
    crossed_pairs = _pair_crossings(d, margin, "rollback", 0.025) > 0
    block.rows.append(("shadow pairs", Cell(float(crossed_pairs.mean()), 0.025, runs=runs)))
    block.rows.append(("*shadow pairs, score test every 5*", Cell(float(peeked.mean()), 0.025, naive=True)))
    return block


def _pair_crossings(d: np.ndarray, margin: float, side: str, alpha: float) -> np.ndarray:
    """First pair at which the paired e-process acts per run (0: never); d in {-1, 0, 1} of shape (runs, t)."""
    runs, length = d.shape
    sign, largest = (-1.0, 0.95 / (1 + margin)) if side == "rollback" else (1.0, 0.95 / (1 - margin))
    logs = np.stack([np.log1p(largest * _POWERS * sign * (margin + value)) for value in (-1, 0, 1)])
    wealth, crossed, limit = np.zeros((runs, 10)), np.zeros(runs, dtype=np.int64), math.log(1 / alpha)
    for t in range(length):
        wealth += logs[d[:, t] + 1]
        near = (wealth.max(axis=1) >= limit) & (crossed == 0)
        if near.any():
            rows = np.flatnonzero(near)
            crossed[rows[np.exp(wealth[rows]).mean(axis=1) >= 1 / alpha]] = t + 1
            if crossed.all():
                break
    path = paired_grid_e_process(d[0].astype(float), margin=margin, side=side, alpha=alpha)
    assert (path.first_crossing_t or 0) == crossed[0]
    return crossed


def delays(runs: int, seed: int, *, full: bool) -> Block:
    block = Block(
        "K",
        "detection delay",
        f"Control 0.95, margin 0.02. Rollback at alpha = 0.01, promotion at 0.025; {runs} runs. Beside each median "
        "the specification's, from other code and seeds.",
        "medians within 20 % of the specification's",
        ("what", "median", "90 %", "specified median", "ratio - 1"),
    )
    rng = np.random.default_rng(seed)
    margin = 0.02

    def add(name: str, crossed: np.ndarray, specified: float) -> None:
        times = np.where(crossed == 0, np.inf, crossed)
        median, late = np.quantile(times, [0.5, 0.9], method="higher")
        block.rows.append(
            (
                name,
                f"{median:,.0f}",
                f"{late:,.0f}" if np.isfinite(late) else "beyond",
                f"{specified:,.0f}",
                Cell(abs(float(median) / specified - 1), 0.2, digits=2),
            )
        )

    for drop, specified in ((0.05, 1213), (0.10, 255), (0.20, 78)):
        loss, win = drop + 0.02, 0.02
        uniform = rng.random((runs, specified * 6), dtype=np.float32)
        d = (uniform < win).astype(np.int8) - (uniform > 1 - loss).astype(np.int8)
        add(f"shadow pairs, drop {drop}", _pair_crossings(d, margin, "rollback", 0.01), specified)
    arms = [(0.5, 0.2, 190), (0.5, 0.5, 43), (0.1, 0.5, 101), (0.1, 0.2, 500)]
    if full:
        arms += [(0.5, 0.1, 685), (0.1, 0.1, 1780), (0.01, 0.5, 930), (0.01, 0.2, 4520)]
        arms += [(0.5, 0.05, 3825), (0.1, 0.05, 8495)]
    for p, drop, specified in sorted(arms, key=lambda arm: (-arm[0], arm[1])):
        chosen, score = _arms(rng, int(specified * 3), runs, p, 0.95, drop)
        crossed = aipw_crossings(chosen, score, p, margin=margin, alpha=0.01)
        add(f"two arms, share {p}, drop {drop}", crossed, specified)
    promotions = [(0.02, 0.01, 501), (0.02, 0.02, 733), (0.05, 0.02, 168), (0.05, 0.10, 427)]
    if full:
        promotions += [(0.02, 0.05, 1304), (0.02, 0.10, 2236), (0.05, 0.01, 122), (0.05, 0.05, 285)]
    for delta, psi, specified in sorted(promotions):
        uniform = rng.random((runs, specified * 4), dtype=np.float32)
        d = (uniform < psi / 2).astype(np.int8) - (uniform > 1 - psi / 2).astype(np.int8)
        add(
            f"promote on pairs, margin {delta}, discordance {psi}",
            _pair_crossings(d, delta, "promote", 0.025),
            specified,
        )
    return block


def drift(runs: int, periods: int, seed: int) -> Block:
    threshold, m, margin = 200.0, 50, 0.02
    block = Block(
        "L",
        "drift detectors",
        f"No change: 50 pairs a period, difference exactly minus the margin (0.02, win rate 0.02), threshold 200; "
        f"{runs} runs of up to {periods} periods, counted as {periods} when there was no alarm.",
        "mean periods to a false alarm at least 200",
        ("detector", "mean periods to alarm"),
    )
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(m, [0.02, 0.04, 0.94], size=(runs, periods)).astype(float)
    bets = 0.95 / (1 + margin) * _POWERS
    steps = np.stack([np.log1p(bets * (-margin - d)) for d in (1, -1, 0)])
    e = np.exp(counts @ steps).mean(axis=-1)
    example = np.repeat([1.0, -1.0, 0.0], counts[0, 0].astype(int))
    path = paired_grid_e_process(example, margin=margin, side="rollback", alpha=0.05)
    assert abs(path.log_e_final - math.log(e[0, 0])) < 1e-9
    cusum, sr = np.zeros(runs), np.zeros(runs)
    first = np.full((2, runs), periods)
    for t in range(periods):
        cusum, sr = np.maximum(cusum, 1) * e[:, t], (sr + 1) * e[:, t]
        for row, statistic in enumerate((cusum, sr)):
            first[row] = np.where((statistic >= threshold) & (first[row] == periods), t + 1, first[row])
    for name, times in zip(("CUSUM", "Shiryaev-Roberts"), first, strict=True):
        block.rows.append((name, Cell(float(times.mean()), threshold, "at least", digits=0)))
    return block


def ends(runs: int, seed: int) -> Block:
    """`freehold parity`: prompts whose turns end in the same place, asked until that is decided."""
    block = Block(
        "O",
        "parity of where turns end",
        f"Each turn ends where the trained model ends it with the probability given; {BATCH} prompts at a time, "
        f"{MOST_PROMPTS} at most; {runs} runs. In italics: 8 prompts of which 90 % must be equal.",
        f"held at {ENDS.wanted} or above, passed at {ENDS.least} or below: at most {ENDS.error}",
        (
            "probability",
            "held",
            "passed",
            "not decided",
            "prompts asked",
            "8 prompts: held",
            "8 prompts: passed",
        ),
    )
    rng = np.random.default_rng(seed)
    for share in (1.0, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5):
        found = {"enough": 0, "too few": 0, "undecided": 0}
        asked, eight = 0, 0
        for equal in rng.random((runs, MOST_PROMPTS)) < share:
            shown: str = "undecided"
            for n in range(BATCH, MOST_PROMPTS + 1, BATCH):
                shown = ENDS.shown(equal[:n].tolist())
                if shown != "undecided":
                    break
            found[shown] += 1
            asked += n
            eight += equal[:8].sum() >= 0.9 * 8
        held, passed = found["too few"] / runs, found["enough"] / runs
        promised = ENDS.error if share >= ENDS.wanted else None
        refused = ENDS.error if share <= ENDS.least else None
        block.rows.append(
            (
                f"{share:g}",
                Cell(held, promised, runs=runs),
                Cell(passed, refused, runs=runs),
                Cell(found["undecided"] / runs),
                Cell(asked / runs, digits=1),
                _eight(1 - eight / runs, promised),
                _eight(eight / runs, refused),
            )
        )
    return block


def _eight(value: float, target: float | None) -> Cell:
    return Cell(value, target, naive=target is not None and value > target)
