"""How often the same items were looked at: each look spends some of the error that was allowed.

Looks belong to one story when they share an item, directly or through others between them: after data were added or
given a new split, the first and the last may share none. Any item in common counts. That errs on the side of care: two
looks that share a tenth of their items are nearly independent, and count as two looks at the same.

The looks of a story share alpha: one may promote while what all of them were allowed, itself included, is at most
alpha. Then the probability that a story promotes a candidate that is worse by the margin is at most alpha, whatever the
looks have in common. Planned looks get parts of it (`LookPlan`); several candidates that are looked at together share
the part of one look, as their selection result weighs them.

Questions that differ in one word, whichever, and have the same right answer are the same item. Of those alone
`NEAR_SHARE` of the smaller look make one story, since a few come by chance.

Items that an earlier look of the story was at and this one is not are counted: who takes out what was lost would else
be promoted by the rest. Those whose trace was forgotten, or older than what is kept, are counted by themselves.

Not covered: looks at other items. Each new set of items is a story of its own, with an error of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from freehold.late import np, special
from freehold.stats.binary import z_quantile
from freehold.types.evaluated import ItemLook
from freehold.types.evaluation import LookCount

if TYPE_CHECKING:
    import numpy.typing as npt

NEAR_SHARE = 0.05
"""Share of the smaller of two looks that must be near to an item of the other, for both to be at the same. Of two
samples of Banking77 1.1 % are by chance at 300 messages each, 2.5 % at 1,000, 6.7 % at 3,000, where some are equal."""
_ROUNDING = 1e-9
_ODD = 0x9E3779B97F4A7C15

Ids: TypeAlias = "npt.NDArray[np.uint64]"
Bools: TypeAlias = "npt.NDArray[np.bool_]"


class LookPlan(NamedTuple):
    """How many looks are to share alpha, said before the first. Where the data `grows` between them, an early one
    promotes only what is far better, and the last has nearly all: 0.0015 and 0.0235 of 0.025. Else each has as much.

    The parts are what O'Brien and Fleming's boundary spends from look to look (Lan & DeMets 1983, one-sided). They add
    up to alpha whatever the looks have in common, so nothing need be known of how the data grew.
    """

    planned: int = 1
    grows: bool = False

    def alpha(self, alpha: float, number: int | None = None) -> float:
        """One-sided, of the look of that number; of the last one without, and beyond the plan."""
        number = self.planned if number is None else min(number, self.planned)
        if not self.grows:
            return alpha / self.planned

        def spent(at: int) -> float:
            if at in (0, self.planned):
                return alpha if at else 0.0
            return float(2 * special.ndtr(-z_quantile(alpha / 2) / math.sqrt(at / self.planned)))

        return spent(number) - spent(number - 1)


ONE_LOOK = LookPlan()


class _Items(NamedTuple):
    """Ids of questions, each once and sorted, what is right for each (0: not said) and the trace it is of (0: none);
    and the ids of those without one word, with the place of the question each is of."""

    ids: Ids
    golds: Ids
    traces: Ids
    near: Ids
    places: npt.NDArray[np.intp]


def count(
    earlier: Sequence[ItemLook],
    this: ItemLook,
    *,
    allowed: float,
    plan: LookPlan = ONE_LOOK,
    removed: bytes = b"",
) -> LookCount:
    """Which look of its story `this` is. `earlier` are all looks the store knows, oldest first.

    A look that is among them is counted at its place, with the alpha it had: the same evaluation again is the same
    look. `allowed` is the one-sided error of the whole story, which the looks of `plan` share; `this.part` of the
    look's alpha is this candidate's. Those looked at together are one look. An earlier look that allowed the story less
    is the one that counts: it was said before a result was seen. A look at the very same answers without the
    incumbent's chose nothing and could promote nothing: it is no other one. `removed` are ids of traces that were
    forgotten or too old to keep, 8 bytes each.
    """
    places = [place for place, look in enumerate(earlier) if look.id == this.id]
    before = [
        look
        for look in (earlier[: places[0]] if places else earlier)
        if not (look.alone and look.answers is not None and look.answers == this.answers)
    ]
    story = _story(before, this)
    others = [place for place in story if not (this.together and before[place].together == this.together)]
    number = 1 + len({before[place].together or before[place].id for place in others})
    mine = _items(this)
    shared = np.zeros(len(mine.ids), dtype=bool)
    lost, forgotten = set[int](), set[int]()
    for place in others:
        theirs = _items(before[place])
        here, there = _matched(mine, theirs)
        shared |= here
        gone = np.isin(theirs.traces, _ids(removed)) & (theirs.traces != 0)
        lost.update(theirs.ids[~there].tolist())
        forgotten.update(theirs.ids[~there & gone].tolist())
    spent = float(sum(before[place].alpha for place in story))
    first = before[others[0]] if others else None
    said_before = [before[place].allowed for place in story]
    allowed = min([allowed, *(one for one in said_before if one is not None)])
    left = allowed - spent
    may_promote = number <= plan.planned and left > allowed * _ROUNDING
    alpha = this.part * plan.alpha(allowed, number)
    if may_promote:
        alpha = min(alpha, left)
    if places:
        alpha = min(alpha, earlier[places[0]].alpha)
    return LookCount(
        number=number,
        planned=plan.planned,
        items=len(mine.ids),
        shared=int(shared.sum()),
        gone=len(lost - forgotten),
        removed=len(forgotten),
        first_at=None if first is None else first.at,
        first_evaluation=None if first is None else first.id,
        alpha=alpha,
        part=this.part,
        alpha_spent=spent,
        may_promote=may_promote,
    )


def _story(before: Sequence[ItemLook], this: ItemLook) -> list[int]:
    """Places of the earlier looks that `this` is connected with, in their order."""
    found: list[int] = []
    left = {place: _items(look) for place, look in enumerate(before)}
    reached = [_items(this)]
    while reached:
        items = reached.pop()
        linked = [place for place, other in left.items() if _joined(items, other)]
        reached += [left.pop(place) for place in linked]
        found += linked
    return sorted(found)


def _joined(mine: _Items, theirs: _Items) -> bool:
    """Whether two looks were at the same: a question in common, or `NEAR_SHARE` that differ in a word.

    Where most of the questions they share have other right answers, they are two tasks on the same texts.
    """
    shared, here, there = np.intersect1d(mine.ids, theirs.ids, assume_unique=True, return_indices=True)
    right, other_right = mine.golds[here], theirs.golds[there]
    differ = (right != 0) & (other_right != 0) & (right != other_right)
    if len(shared) and int(differ.sum()) * 2 <= len(shared):
        return True
    near = int(_matched(mine, theirs)[0].sum()) - len(shared)
    return near > 0 and near >= NEAR_SHARE * min(len(mine.ids), len(theirs.ids))


def _matched(mine: _Items, theirs: _Items) -> tuple[Bools, Bools]:
    """Which items of each of two looks the other was at as well: the same, else as many as there are near ones."""
    found = np.isin(mine.ids, theirs.ids), np.isin(theirs.ids, mine.ids)
    near = _near(mine, theirs, found)
    most = min(int(hits.sum()) for hits in near)
    for same, hits in zip(found, near, strict=True):
        same[np.flatnonzero(hits)[:most]] = True
    return found


def _near(mine: _Items, theirs: _Items, same: tuple[Bools, Bools]) -> tuple[Bools, Bools]:
    """Which items of each differ in one word at most from one of the other that is not the `same` as another, with the
    same right answer (or where one look knows none)."""
    told = bool(mine.golds.any() and theirs.golds.any())
    ids, places = [], []
    for one, known in zip((mine, theirs), same, strict=True):
        left = ~known[one.places]
        places.append(one.places[left])
        ids.append(one.near[left] + one.golds[places[-1]] * np.uint64(_ODD) * np.uint64(told))
    found = np.zeros(len(mine.ids), dtype=bool), np.zeros(len(theirs.ids), dtype=bool)
    found[0][places[0][np.isin(ids[0], ids[1])]] = True
    found[1][places[1][np.isin(ids[1], ids[0])]] = True
    return found


def _items(look: ItemLook) -> _Items:
    ids, first, places = np.unique(_ids(look.items), return_index=True, return_inverse=True)
    traces = _ids(look.traces)[first] if look.traces else np.zeros(len(ids), dtype=np.uint64)
    counts = np.frombuffer(look.near_counts, dtype="<u2")
    return _Items(
        ids, _ids(look.golds)[first], traces, _ids(look.near), np.repeat(places[: len(counts)], counts)
    )


def _ids(packed: bytes) -> Ids:
    return np.frombuffer(packed, dtype="<u8").astype(np.uint64)
