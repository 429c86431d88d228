"""What candidates showed on the selection split, and which of them go on to the proof."""

from __future__ import annotations

from freehold.types.record import Record


class SelectionRow(Record, frozen=True, kw_only=True):
    """One candidate on the selection split. Differences are candidate minus incumbent, on the score's scale."""

    name: str
    cost: float | None = None
    """Dollars per 1,000 requests; None where unknown."""
    items: int = 0
    """Selection items that both models have a score for."""
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    """95 % limits of the difference: for display, since candidates were chosen by looking at these items."""
    needed: float | None = None
    """The difference at which the held-out items would come out as promote; None where they never could."""
    chance: float | None = None
    """Probability that the held-out items come out as promote, as far as the selection items tell."""
    passes: bool = False
    stopped: str | None = None
    """Why the candidate was not measured on all selection items; None where it was."""
    part: float = 0.0
    """Part of the look's alpha that its proof has; 0 where it is not looked at."""
    reason: str = ""
    """A sentence."""


class Selection(Record, frozen=True, kw_only=True):
    """Which candidates go on to the held-out items, and why. `chosen` is the one that has the largest part of the look,
    the cheaper of two. `passes` is false where none is expected to pass. `rows` hold every candidate, cheapest first.
    """

    chosen: str
    passes: bool
    reason: str
    margin: float
    alpha: float
    held_out: int
    """Items that they will be judged on."""
    least_chance: float
    """The chance of promote from which on a candidate passes."""
    rows: tuple[SelectionRow, ...]
