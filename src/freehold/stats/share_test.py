"""Whether a share is as high as wanted, looked at while the items come: Wald's sequential probability ratio test.

Undecided items ask for more items, not for a verdict. The ratio of the two likelihoods is a martingale with mean 1
under either share (below it for shares beyond them), so that by Ville's inequality both error rates hold however often
it is looked at and wherever it is stopped.

Covered: independent items, each as wanted or not. Not covered: shares between `wanted` and `least`, which may be
decided either way.

Source: Wald 1945, Annals of Mathematical Statistics 16:117.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Shown = Literal["enough", "too few", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareTest:
    """`wanted` is a share that should pass, `least` one that should not, `error` the largest probability of either
    mistake: *too few* at `wanted` or above, *enough* at `least` or below."""

    wanted: float
    least: float
    error: float

    def __post_init__(self) -> None:
        if not 0 < self.least < self.wanted < 1 or not 0 < self.error < 0.5:
            raise ValueError("expected 0 < least < wanted < 1 and an error between 0 and 0.5")

    @property
    def fewest(self) -> int:
        """Items that show *enough* when all of them are as wanted."""
        return math.ceil(self._bound / self._hit - 1e-9)

    def shown(self, items: Iterable[bool]) -> Shown:
        """What the items show, in the order they came. Once decided it stays, whatever follows."""
        evidence = 0.0
        for item in items:
            evidence += self._hit if item else self._miss
            if evidence >= self._bound:
                return "enough"
            if evidence <= -self._bound:
                return "too few"
        return "undecided"

    @property
    def _bound(self) -> float:
        return -math.log(self.error)

    @property
    def _hit(self) -> float:
        return math.log(self.wanted / self.least)

    @property
    def _miss(self) -> float:
        return math.log((1 - self.wanted) / (1 - self.least))
