"""What margin that many items can prove, and whether *promote* is possible at all.

Nothing is estimated here: the rule of the verdict itself is put to the best that could happen. Two cases are asked: a
candidate that scores like the incumbent on every item, and, where the incumbent's scores are known, one that is right
everywhere. Where the first is not promoted, no candidate that is merely as good can be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from freehold.late import np
from freehold.stats import power as planner
from freehold.stats.compare import outcome_of
from freehold.stats.looks import ONE_LOOK, LookPlan
from freehold.stats.rules import MIN_PAIRS_PROMOTE, DecisionRule
from freehold.types.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    import numpy.typing as npt


CHECK = "margin"
_STEP = 0.001
_EVEN = 0.5
_LARGEST_SHARE = 0.5
"""Of the records, held out: beyond that too little is left to learn from."""


class Items(NamedTuple):
    """Held-out items that will be compared. `binary` says that each scores 0 or 1. `groups` are codes of independent
    units, None where each item is one; `incumbent` its scores, None where they are not known yet."""

    size: int
    binary: bool = True
    groups: npt.NDArray[np.int64] | None = None
    incumbent: Sequence[float] | None = None
    records: int | None = None
    """Records of all splits together; None where the items come from elsewhere."""
    judged: bool = False
    """A judge scores, and the difference that its human labels give decides."""


def reach_findings(
    items: Items, *, margin: float, alpha: float, looks: LookPlan = ONE_LOOK
) -> Iterator[Finding]:
    """Whether `items` can promote at `margin` (share of the scale) and `alpha`, in the last of the `looks`."""
    n, share = items.size, looks.alpha(alpha)
    if n == 0:
        return
    if not items.binary:  # how far such scores scatter is not known before there are some
        if n < MIN_PAIRS_PROMOTE:
            text = f"{_count(items)}: fewer than {MIN_PAIRS_PROMOTE} items are never promoted on, whatever they show"
            yield fail(CHECK, text, f"hold out {MIN_PAIRS_PROMOTE} items at least")
        elif not items.judged and n < (needed := planner.rare_loss_n(margin, share)):
            text = (
                f"{_count(items)}: losses too rare to show among so few items could hide a drop of {_points(margin)}, "
                "so only a candidate that is clearly better than the incumbent can be promoted"
            )
            yield warn(CHECK, text, f"hold out {needed:,} items at least{_of_records(items, n, needed)}")
        return
    rule = DecisionRule(margin=margin, alpha=share)
    shared = f" with alpha shared by {looks.planned} evaluations" if looks.planned > 1 else ""
    if _promoted(items, rule, _equal(items)):
        chance = planner.power_at(n, discordance=planner.PLANNED_DISCORDANCE, margin=margin, alpha=share)
        text = (
            f"{_count(items)}{shared}: a margin of {_points(margin)} can be proven; an equally good candidate that "
            f"differs on {planner.PLANNED_DISCORDANCE:.0%} of the items is promoted with a probability of {chance:.0%}"
        )
        if chance >= _EVEN:
            yield ok(CHECK, text)
        else:
            yield warn(
                CHECK,
                text,
                f"hold out about {planner.items_needed(margin, share):,} items, or accept a wider margin",
            )
        return
    best = _smallest(items, share)
    needed = planner.zero_loss_n(margin, share)
    can = "nothing can be proven" if best is None else f"you can prove {_points(best)} at best"
    groups, wanted = _groups(items), max(needed, MIN_PAIRS_PROMOTE)
    what = "items" if groups == items.size else "groups, each a conversation or user of its own,"
    short = "there are items enough and too few groups: " if groups < wanted <= n else ""
    fix = (
        f"{short}hold out {wanted:,} {what} at least{_of_records(items, groups, needed)}, about "
        f"{planner.items_needed(margin, share):,} for a good chance"
        + ("" if best is None else f"; or accept a margin of {best:g} ([task] margin)")
    )
    said = f"with {_count(items)}{shared} {can}, and your margin is {_points(margin)}"
    if items.incumbent is None:
        yield fail(CHECK, f"{said}: a candidate that is as good as the incumbent cannot be promoted", fix)
    elif _promoted(items, rule, np.ones(n)):
        yield warn(
            CHECK, f"{said}: only a candidate that is clearly better than the incumbent can be promoted", fix
        )
    else:
        yield fail(
            CHECK, f"{said}: promote is impossible, even for a candidate that is right on every item", fix
        )


def _equal(items: Items) -> npt.NDArray[np.float64]:
    return np.ones(items.size) if items.incumbent is None else np.asarray(items.incumbent, dtype=np.float64)


def _promoted(items: Items, rule: DecisionRule, candidate: npt.NDArray[np.float64]) -> bool:
    return outcome_of(_equal(items), candidate, rule, codes=items.groups) == "promote"


def _smallest(items: Items, alpha: float) -> float | None:
    """The smallest margin, in thousandths, at which an equal candidate is promoted; None below a half."""
    low, high = 0, 500
    if not _promoted(items, DecisionRule(margin=high * _STEP, alpha=alpha), _equal(items)):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _promoted(items, DecisionRule(margin=middle * _STEP, alpha=alpha), _equal(items)):
            high = middle
        else:
            low = middle
    return round(high * _STEP, 3)


def _of_records(items: Items, units: int, needed: int) -> str:
    """How this many of `units` are held out: of more records, or a larger share of those there are."""
    if items.records is None or items.records <= items.size:
        return ""
    wanted = max(needed, MIN_PAIRS_PROMOTE)
    ways = [f"about {math.ceil(wanted * items.records / units):,} records at the present share"]
    share = math.ceil(20 * wanted * items.size / units / items.records) / 20
    if share <= _LARGEST_SHARE:
        ways.append(f"[data] held_out = {share:g}")
    return f" ({' or '.join(ways)})"


def _groups(items: Items) -> int:
    """Independent units among them."""
    return items.size if items.groups is None else len(np.unique(items.groups))


def _count(items: Items) -> str:
    groups = _groups(items)
    return f"n = {items.size:,}" + (f" in {groups:,} groups" if groups < items.size else "")


def _points(margin: float) -> str:
    points = round(100 * margin, 1)
    return f"{points:g} point" + ("" if points == 1 else "s")
