"""A promoted mixture under `freehold watch`: false alarms in a year, and how long a loss goes unseen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from benchmarks.calibration.table import Block, Cell
from freehold.stats.drift import (
    ALPHA_SPLIT,
    HOURS_PER_YEAR,
    MeanDetector,
    acts_at,
    loss_limit,
    overconfidence_limit,
    share_limits,
)
from freehold.stats.sequential import MeanLimit

_MARGIN, _SHARE, _NOISE = 0.02, 0.6, 0.02
_EVERY_HOURS = 168.0
_WEEKS = round(HOURS_PER_YEAR / _EVERY_HOURS)
_CONFIDENCE = 0.96
_USERS = 500
_ASKED = (20, 50, 200)
_TOLERANCE = 0.05
Numbers = npt.NDArray[np.float64]


def mixture_false_alarms(runs: int, seed: int) -> Block:
    """A year of weekly checks of a mixture that is exactly at the edge of what was promised, in all three ways."""
    block = Block(
        "V",
        "a mixture after its promotion: false alarms",
        f"{_WEEKS} weekly checks; {_SHARE:.0%} answered here, of which so many are asked again (one a user); margin "
        f"{_MARGIN}. Sure answers lose exactly what the margin allows (won by chance {_NOISE:.0%}), confidence is 5 "
        f"points too high, the share 5 points above the proven interval: each at its edge. {runs} years a row.",
        "an alarm in at most 5 % of years, all tests together",
        ("asked again a week", *ALPHA_SPLIT, "any"),
    )
    rng = np.random.default_rng(seed)
    for asked in _ASKED:
        losses = _losses(rng, (runs, _WEEKS, asked), 1.0)
        bad = rng.random((runs, _WEEKS, asked)) < 1 - _CONFIDENCE + 0.05
        users = ((rng.random((_WEEKS, _USERS)) < _SHARE).astype(float) for _ in range(runs))
        above, _ = share_limits(_SHARE - _TOLERANCE, _SHARE - _TOLERANCE, _TOLERANCE)
        alarmed = {
            "loss": _first(losses, loss_limit(_MARGIN, _SHARE), "loss"),
            "calibration": _first(_CONFIDENCE - 1 + bad, overconfidence_limit(), "calibration"),
            "share above": _first(users, above, "share above"),
        }
        seen = {name: weeks <= _WEEKS for name, weeks in alarmed.items()}
        rates = [Cell(float(seen[name].mean()), ALPHA_SPLIT[name], runs=runs) for name in ALPHA_SPLIT]
        any_of = np.logical_or.reduce(list(seen.values()))
        block.rows.append((str(asked), *rates, Cell(float(any_of.mean()), 0.05, runs=runs)))
    return block


def mixture_delays(runs: int, seed: int) -> Block:
    """How many weekly checks it takes until a loss beyond the margin is found, from the first one on."""
    block = Block(
        "W",
        "a mixture after its promotion: until a loss is found",
        f"As before, but all requests together lose so many margins; half a year of health before. Median weeks to the "
        f"alarm, and within which nine of ten alarm ('over {_WEEKS}' where not within a year); {runs} runs.",
        "none; shown to choose `recheck_share` by",
        ("asked again a week", *(f"{times:g} × margin" for times in (1.5, 2, 3, 5))),
    )
    rng = np.random.default_rng(seed)
    for asked in _ASKED:
        row: list[str | Cell] = [str(asked)]
        for times in (1.5, 2.0, 3.0, 5.0):
            healthy = _losses(rng, (runs, _WEEKS // 2, asked), 0.25)
            worse = _losses(rng, (runs, _WEEKS, asked), times)
            weeks = _first(np.concatenate([healthy, worse], axis=1), loss_limit(_MARGIN, _SHARE), "loss")
            row.append("{} / {}".format(*(_weeks(np.quantile(weeks - _WEEKS // 2, q)) for q in (0.5, 0.9))))
        block.rows.append(tuple(row))
    return block


def _losses(rng: np.random.Generator, size: tuple[int, ...], times: float) -> Numbers:
    """Incumbent minus candidate on sure answers, so that all requests together lose so many margins."""
    lost = times * _MARGIN / _SHARE + _NOISE
    drawn = rng.random(size)
    return np.where(drawn < lost, 1.0, np.where(drawn > 1 - _NOISE, -1.0, 0.0))


def _weeks(value: float) -> str:
    return f"over {_WEEKS}" if value > _WEEKS else f"{value:.0f}"


def _first(runs: Iterable[Numbers], limit: MeanLimit, test: str) -> Numbers:
    """The week (from 1) of the first alarm of each run; one beyond the last where there is none."""
    threshold = acts_at(test, every_hours=_EVERY_HOURS)
    first = []
    for weeks in runs:
        state, found = MeanDetector(), len(weeks) + 1
        for week, seen in enumerate(weeks, 1):
            state = state.update(seen, limit)
            if state.statistic >= threshold:
                found = week
                break
        first.append(found)
    return np.array(first, float)
