"""Unscored pairs: how many, on which side, and how bad they could be.

An answer in the wrong form, a refusal or a timeout is a score of `lo`, not an unscored item. Only
what no model caused is unscored: a grader that crashed, a lost connection, a missing label.
"""

from __future__ import annotations

from typing import NamedTuple

from freehold.stats.binary import sign_test_p, tango_ci


class Unscored(NamedTuple):
    """Unscored pairs by side."""

    candidate_only: int
    incumbent_only: int
    both: int

    @property
    def total(self) -> int:
        return self.candidate_only + self.incumbent_only + self.both


class WorstCase(NamedTuple):
    """Limits after every unscored pair is counted as a loss (lower) and as a win (upper)."""

    estimate: float | None
    lower_worst: float | None
    upper_best: float | None
    share_unscored: float


def worst_case_bounds(
    wins: int, losses: int, n_scored_pairs: int, unscored: int, *, alpha: float = 0.025
) -> WorstCase:
    """The widest honest bounds for binary pairs: no partial information is used."""
    total = n_scored_pairs + unscored
    share = unscored / total if total else 0.0
    return WorstCase(
        (wins - losses) / n_scored_pairs if n_scored_pairs else None,
        tango_ci(wins, losses + unscored, total, alpha).lower,
        tango_ci(wins + unscored, losses, total, alpha).upper,
        share,
    )


def imbalance_p(unscored: Unscored) -> float:
    """Exact two-sided p that unscored pairs fall on both sides alike; small means they follow the model."""
    one_sided = unscored.candidate_only + unscored.incumbent_only
    return sign_test_p(unscored.candidate_only, one_sided)
