"""The margin that a drafted `freehold.toml` begins with: two points, or the least that so short a log can prove.

A margin comes from what a drop costs, never from how many records there are. One that cannot be proven ends the journey
before its first step, though, so a short log begins with one that can, and the file says what two points take.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from freehold.stats import power as planner
from freehold.stats.rules import MIN_PAIRS_PROMOTE

WANTED = 0.02
"""The usual margin: `TaskConfig` has it as well."""
_WIDER = (0.03, 0.05, 0.08, 0.1, 0.15)
_LEFT = 0.95
"""Share of records that are left once repeats are gone; the rest is slack."""


class DraftedMargin(NamedTuple):
    """A margin with what is to be said of it: a comment on its line, and lines before it."""

    margin: float
    said: str
    before: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """As they stand in the file."""
        return [*(f"# {line}" for line in self.before), f"margin = {self.margin:g}   # {self.said}"]


def drafted_margin(records: int, *, share: float) -> DraftedMargin:
    """The margin for a log of that many records, of which the `share` will be held out; each scores 0 or 1.

    Two points where the items can prove them at all; else the least of a few round margins that they can; two points
    again where they can prove none.
    """
    items = math.floor(records * share * _LEFT)
    usual = "largest drop you accept: two points"
    if _provable(WANTED, items):
        return DraftedMargin(WANTED, usual)
    least = _records(planner.zero_loss_n(WANTED), share)
    good = _records(planner.items_needed(WANTED), share)
    takes = f"Two points (0.02) take about {least:,} records, {good:,} for a good chance"
    margin = next((one for one in _WIDER if _provable(one, items)), None)
    if margin is None:
        few = f"Of {records:,} records about {items:,} are held out"
        least_of_all = _records(MIN_PAIRS_PROMOTE, share)
        return DraftedMargin(
            WANTED,
            usual,
            (
                f"{few}, which prove no margin up to {100 * _WIDER[-1]:g} points: {least_of_all:,} records at least.",
                f"{takes}.",
            ),
        )
    said = f"largest drop you accept: {100 * margin:g} points, the least that {items:,} held-out records can prove"
    return DraftedMargin(margin, said, (f"{takes}: import more, or hold out more ([data] held_out).",))


def _provable(margin: float, items: int) -> bool:
    """Whether a candidate that never differs from the incumbent is promoted."""
    return items >= max(MIN_PAIRS_PROMOTE, planner.zero_loss_n(margin))


def _records(items: int, share: float) -> int:
    return math.ceil(items / share / _LEFT)
