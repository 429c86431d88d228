"""Whether labels are as frequent among some messages as among others: Pearson's chi-square by permutation.

Under the null the counts of one side are drawn without replacement from both together (multivariate hypergeometric), so
the p-value is right for rare labels as well. It informs and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from freehold.late import np

LEVEL = 0.01
"""A difference that chance makes more often is none."""
TELLS = 0.02
"""Share of the messages that would have to have another label, from which on a difference matters."""
DRAWS = 1_999
SHOWN = 3


class LabelShift(NamedTuple):
    """`p`, the `share` of messages that would need another label for both sides to be alike (total variation), and the
    labels that differ most, with their shares before and after."""

    p: float
    share: float
    most: tuple[tuple[str, float, float], ...]

    @property
    def tells(self) -> bool:
        """Whether the difference is more than chance, and large enough to matter."""
        return self.p < LEVEL and self.share >= TELLS


def label_shift(before: Mapping[str, int], after: Mapping[str, int], *, seed: int = 0) -> LabelShift | None:
    """Compare counts of labels; None where one side has none. The same counts always give the same p-value."""
    labels = sorted(label for label in {*before, *after} if before.get(label) or after.get(label))
    both = np.array([[side.get(label, 0) for label in labels] for side in (before, after)], dtype=np.int64)
    (n, m), total = both.sum(axis=1), both.sum(axis=0)
    if not n or not m:
        return None
    expected = total * (n / (n + m))
    # Over both sides: where one exceeds its expectation, the other lacks as much.
    weight = 1 / expected + 1 / (total - expected)
    draws = np.random.default_rng(seed).multivariate_hypergeometric(total, n, size=DRAWS, method="marginals")
    found = float(((both[0] - expected) ** 2 * weight).sum())
    drawn = ((draws - expected) ** 2 * weight).sum(axis=1)
    shares = both / np.array([[n], [m]])
    order = np.argsort(-((both[0] - expected) ** 2) * weight, kind="stable")[:SHOWN]
    return LabelShift(
        p=(1 + int((drawn >= found * (1 - 1e-12)).sum())) / (DRAWS + 1),
        share=float(np.abs(shares[0] - shares[1]).sum() / 2),
        most=tuple((labels[at], float(shares[0, at]), float(shares[1, at])) for at in order.tolist()),
    )
