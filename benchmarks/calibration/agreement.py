"""A rollout of what was proven by right answers, whose mirrored requests have none."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from benchmarks.calibration.table import Block, Cell
from freehold.stats.sequential import ALPHA_SPLIT
from freehold.workflows.shift.rollout.decision import begin, promote_alpha

_MARGIN, _ITEMS, _USERS = 0.03, 471, 2000
_SHARED, _WRONG = 0.3, 3
"""The share of requests that are as hard for both, and how many wrong answers are at hand."""
_LOSSES = (0.0, 0.03, 0.05, 0.09, 0.15, 0.25)
Rng = np.random.Generator


def _lost(rng: Rng, n: int, ours: float, theirs: float) -> npt.NDArray[np.float64]:
    """1 where the candidate, right so often, answers otherwise than the incumbent."""
    hard = rng.random(n)
    own = np.where(rng.random(n) < _SHARED, hard, rng.random(n)) < ours
    incumbent = np.where(rng.random(n) < _SHARED, hard, rng.random(n)) < theirs
    same = rng.integers(0, _WRONG, n) == rng.integers(0, _WRONG, n)
    agrees = (own & incumbent) | (~own & ~incumbent & same)
    return np.where(agrees, 0.0, 1.0)


def rollouts_without_answers(runs: int, seed: int) -> Block:
    """What goes back and what passes, by how much the candidate loses live against what was proven."""
    block = Block(
        "AA",
        "a rollout without right answers",
        f"A proof by the right answers of {_ITEMS} items, then {_USERS:,} users whose requests have none; {runs} "
        f"rollouts a row, margin {_MARGIN}, seed {seed}. Agreement with the incumbent is compared with that of the "
        "proof; in the last column it is taken for the difference itself.",
        "a candidate whose agreement falls by the margin at most goes back in at most 2 % of rollouts",
        (
            "right: incumbent", "candidate in the proof", "loses live", "agreement falls", "goes back",
            "passes", "goes back, agreement itself",
        ),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    back = ALPHA_SPLIT["quality"]
    for theirs, ours in ((0.65, 0.71), (0.94, 0.94)):
        agreed = _lost(rng, 400_000, ours, theirs).mean()
        for loss in _LOSSES:
            counts = np.zeros(3)
            for _ in range(runs):
                proof = _lost(rng, _ITEMS, ours, theirs)
                live = -_lost(rng, _USERS, ours - loss, theirs)
                error = 1.96 * proof.std(ddof=1) / math.sqrt(_ITEMS)
                tests = begin(margin=_MARGIN, max_p95_ms=None, errors_below=0.02, unsure=error)
                values = np.clip(live + proof.mean(), -1, 1).tolist()
                bare = begin(margin=_MARGIN, max_p95_ms=None, errors_below=0.02).quality_back
                counts += (
                    tests.quality_back.update(values).crossed(back),
                    tests.quality_forward.update(values).crossed(promote_alpha(1)),
                    bare.update(live.tolist()).crossed(back),
                )
            falls = _lost(rng, 400_000, ours - loss, theirs).mean() - agreed
            within = back if falls <= _MARGIN else None
            goes_back, passes, itself = (counts / runs).tolist()
            block.rows.append(
                (
                    f"{theirs:.0%}", f"{ours:.0%}", f"{loss:.0%}", f"{max(0.0, falls):.1%}",
                    Cell(goes_back, within, runs=runs), Cell(passes),
                    Cell(itself, within, runs=runs, naive=within is not None),
                )
            )  # fmt: skip
    return block
