"""How often the same items were looked at: each look spends some of the error that was allowed.

Looks belong to one story when they share an item, directly or through others between them: after data were added or
given a new split, the first and the last may share none. Any item in common counts. That errs on the side of care: two
looks that share a tenth of their items are nearly independent, and count as two looks at the same.

The looks of a story share alpha (Bonferroni): one may promote while what all of them were allowed, itself included, is
at most alpha. Then the probability that a story promotes a candidate that is worse by the margin is at most alpha,
whatever the looks have in common.

Items that an earlier look of the story was at and this one is not are counted: who takes out what was lost would else
be promoted by the rest.

Not covered: looks at other items. Each new set of items is a story of its own, with an error of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from freehold.late import np
from freehold.types.evaluated import ItemLook
from freehold.types.evaluation import LookCount

if TYPE_CHECKING:
    import numpy.typing as npt

_ROUNDING = 1e-9

Ids: TypeAlias = "npt.NDArray[np.uint64]"


class _Items(NamedTuple):
    """Ids of questions, each once and sorted, and what is right for each (0: not said)."""

    ids: Ids
    golds: Ids


def count(earlier: Sequence[ItemLook], this: ItemLook, *, allowed: float, planned: int = 1) -> LookCount:
    """Which look of its story `this` is. `earlier` are all looks the store knows, oldest first.

    A look that is among them is counted at its place: the same evaluation again is the same look. `allowed` is the
    one-sided error of the whole story, `planned` how many looks are to share it; `this.alpha` is the share of this one.
    An earlier look that allowed the story less is the one that counts: it was said before a result was seen. A look at
    the very same answers without the incumbent's chose nothing and could promote nothing: it is no other one.
    """
    places = [place for place, look in enumerate(earlier) if look.id == this.id]
    before = [
        look
        for look in (earlier[: places[0]] if places else earlier)
        if not (look.alone and look.answers is not None and look.answers == this.answers)
    ]
    story = _story(before, this)
    mine = _items(this)
    seen = np.concatenate([_items(before[place]).ids for place in story] or [np.empty(0, np.uint64)])
    spent = float(sum(before[place].alpha for place in story))
    first = before[story[0]] if story else None
    said_before = [before[place].allowed for place in story]
    allowed = min([allowed, *(one for one in said_before if one is not None)])
    return LookCount(
        number=len(story) + 1,
        planned=planned,
        items=len(mine.ids),
        shared=int(np.isin(mine.ids, seen).sum()),
        gone=len(np.setdiff1d(seen, mine.ids)),
        first_at=None if first is None else first.at,
        first_evaluation=None if first is None else first.id,
        alpha=this.alpha,
        alpha_spent=spent,
        may_promote=spent + this.alpha <= allowed * (1 + _ROUNDING),
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
    """Whether two looks were at the same: a question in common.

    Where most of the questions they share have other right answers, they are two tasks on the same texts.
    """
    shared, here, there = np.intersect1d(mine.ids, theirs.ids, assume_unique=True, return_indices=True)
    if not len(shared):
        return False
    right, other_right = mine.golds[here], theirs.golds[there]
    differ = (right != 0) & (other_right != 0) & (right != other_right)
    return int(differ.sum()) * 2 <= len(shared)


def _items(look: ItemLook) -> _Items:
    ids, first = np.unique(np.frombuffer(look.items, dtype="<u8").astype(np.uint64), return_index=True)
    return _Items(ids, np.frombuffer(look.golds, dtype="<u8").astype(np.uint64)[first])
