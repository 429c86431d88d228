"""Blocks J to L and O: continuous looking, detection delay, drift detectors, parity of ends; by simulation."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.calibration.table import Block, Cell
from freehold.stats.binary import tango_statistic, z_quantile
from freehold.stats.drift import MeanDetector, no_worse
from freehold.stats.sequential import ALPHA_SPLIT, EQUAL, MeanLimit, MeanTest
from freehold.workflows.prove.parity import BATCH, MOST_PROMPTS
from freehold.workflows.prove.parity_judging import ENDS
from freehold.workflows.shift.rollout.decision import begin, promote_alpha

_ERRORS_BELOW = 0.02


def crossings(x: np.ndarray, test: MeanTest, alpha: float) -> np.ndarray:
    """First unit at which a test acts, for every run at once (0: never); values of shape (runs, units)."""
    runs, length = x.shape
    wealth, crossed, limit = (
        np.tile(test.log_wealths, (runs, 1)),
        np.zeros(runs, dtype=np.int64),
        math.log(1 / alpha),
    )
    for t in range(length):
        wealth += test.limit.log_growth(x[:, t])
        # log mean exp <= max, so the mean is only needed where the largest comes near the limit.
        near = (wealth.max(axis=1) >= limit) & (crossed == 0)
        if near.any():
            rows = np.flatnonzero(near)
            crossed[rows[np.exp(wealth[rows]).mean(axis=1) >= 1 / alpha]] = t + 1
            if crossed.all():
                break
    for run in range(2):
        assert test.update(x[run]).crossed(alpha) == bool(crossed[run])
    return crossed


def anytime(runs: int, units: int, seed: int) -> Block:
    margin, alpha = 0.02, ALPHA_SPLIT["errors"]
    block = Block(
        "J",
        "false alarms under continuous looking",
        f"True drop exactly the margin (0.02), or exactly the share of failures that is accepted ({_ERRORS_BELOW:g}), "
        f"{units} units, looked at after each; {runs} runs. In italics: what is usually done.",
        f"at most {alpha:g} (pairs: 0.025; shown to be below: {promote_alpha(1):g})",
        ("setting", "false alarms"),
    )
    rng = np.random.default_rng(seed)
    tests = begin(margin=margin, max_p95_ms=None, errors_below=_ERRORS_BELOW)
    back = tests.errors_back
    failed = (rng.random((runs, units), dtype=np.float32) < _ERRORS_BELOW).astype(np.float32)
    for name, test, most in (("back", back, alpha), ("below", tests.errors_forward, promote_alpha(1))):
        found = (crossings(failed, test, most) > 0).mean()
        words = {"back": "failures, rolled back", "below": "failures, shown to be below"}
        block.rows.append((words[name], Cell(float(found), most, runs=runs)))

    per_user, users = 20, min(units, 10_000) // 20
    own = rng.beta(_ERRORS_BELOW, 1 - _ERRORS_BELOW, (runs, users))
    one = crossings(rng.binomial(per_user, own) / per_user, back, alpha)
    block.rows.append(("sticky users, one value each", Cell(float((one > 0).mean()), alpha, runs=runs)))
    requests = rng.random((runs, users, per_user)) < own[:, :, None]
    each = crossings(requests.reshape(runs, users * per_user).astype(float), back, alpha)
    block.rows.append(("*sticky users, every request*", Cell(float((each > 0).mean()), alpha, naive=True)))

    window = min(units, 4000)
    failed = (rng.random((runs, window)) < _ERRORS_BELOW).astype(float)
    ordered = crossings(failed, back, alpha)
    block.rows.append(
        ("late answers, order of exposure", Cell(float((ordered > 0).mean()), alpha, runs=runs))
    )
    # Failures are reported at once, everything else up to 1,500 units later.
    delay = np.where(failed == 1, 0, rng.integers(0, 1500, (runs, window)))
    order = np.argsort(np.arange(window) + delay, axis=1, kind="stable")
    arrived = crossings(np.take_along_axis(failed, order, 1), back, alpha)
    block.rows.append(
        ("*late answers, order of arrival*", Cell(float((arrived > 0).mean()), alpha, naive=True))
    )

    loss, pairs = 0.04, 5000
    uniform = rng.random((runs, pairs), dtype=np.float32)
    d = (uniform < loss - margin).astype(np.int8) - (uniform > 1 - loss).astype(np.int8)
    steps = np.arange(4, pairs, 5)
    wins = np.cumsum(d > 0, axis=1)[:, steps]
    losses = np.cumsum(d < 0, axis=1)[:, steps]
    peeked = (tango_statistic(wins, losses, steps + 1, -margin) < -z_quantile(0.025)).any(axis=1)
    crossed_pairs = crossings(d, tests.quality_back, 0.025) > 0
    block.rows.append(("shadow pairs", Cell(float(crossed_pairs.mean()), 0.025, runs=runs)))
    block.rows.append(("*shadow pairs, score test every 5*", Cell(float(peeked.mean()), 0.025, naive=True)))
    return block


def delays(runs: int, seed: int, *, full: bool) -> Block:
    block = Block(
        "K",
        "detection delay",
        f"Margin 0.02. Rollback at alpha = 0.01, promotion at 0.025; {runs} runs. Beside each median the "
        "specification's, from other code and seeds. Failures are shown to be below 0.02 as in a first rollout "
        f"({promote_alpha(1):g}), beside the mean by Wald's formula for that very share and no other.",
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
        add(f"shadow pairs, drop {drop}", crossings(d, MeanTest(limit=no_worse(margin)), 0.01), specified)
    below = begin(margin=margin, max_p95_ms=None, errors_below=_ERRORS_BELOW).errors_forward
    for share in (0.01, 0.005) if full else (0.01,):
        wald = math.log(1 / promote_alpha(1)) / _divergence(share, _ERRORS_BELOW)
        failed = (rng.random((runs, int(wald * 8)), dtype=np.float32) < share).astype(np.float32)
        add(f"failures of {share:g}", crossings(failed, below, promote_alpha(1)), wald)
    promotions = [(0.02, 0.01, 501), (0.02, 0.02, 733), (0.05, 0.02, 168), (0.05, 0.10, 427)]
    if full:
        promotions += [(0.02, 0.05, 1304), (0.02, 0.10, 2236), (0.05, 0.01, 122), (0.05, 0.05, 285)]
    for delta, psi, specified in sorted(promotions):
        uniform = rng.random((runs, specified * 4), dtype=np.float32)
        d = (uniform < psi / 2).astype(np.int8) - (uniform > 1 - psi / 2).astype(np.int8)
        add(
            f"promote on pairs, margin {delta}, discordance {psi}",
            crossings(d, MeanTest(limit=MeanLimit(-delta, -1.0, 1.0)), 0.025),
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
    e = np.exp(counts @ no_worse(margin).log_growth([1.0, -1.0, 0.0]))
    statistics, first = np.zeros((runs, len(EQUAL))), np.full(runs, periods)
    for t in range(periods):
        statistics = (statistics + 1) * e[:, t]
        first = np.where((statistics.mean(axis=1) >= threshold) & (first == periods), t + 1, first)
    state = MeanDetector()
    for wins, losses, ties in counts[0, : first[0]].astype(int):
        state = state.update([1.0] * wins + [-1.0] * losses + [0.0] * ties, no_worse(margin))
    assert (state.statistic >= threshold) == (first[0] < periods)
    block.rows.append(("Shiryaev-Roberts", Cell(float(first.mean()), threshold, "at least", digits=0)))
    return block


def _divergence(p: float, q: float) -> float:
    """Kullback and Leibler's, of two shares."""
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


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
