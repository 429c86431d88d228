"""Groups that are one task although their templates differ: a slot with few values, an edited prompt, one tool more.

Two prompts that differ by a word may be one task ("Translate to German", "to French") or two ("What is the sentiment",
"the topic"): only what is answered tells. So templates are joined where nearly all is the same, or where three or more
are alike, and never where their answers have another form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from typing import NamedTuple

from freehold.datasets.tasks.grouping import TaskGroup

SAME, ALIKE = 0.9, 0.6
"""Shares of words that two templates have in common."""
_LEAST_FAMILY = 3
_LEAST_ANSWERS = 20
_MOST_COMPARED = 200
_SHARED_LABELS, _SHARED_TOOLS = 0.5, 0.5


class AnswerSignature(NamedTuple):
    """What a group's answers look like: a kind, and the labels or the fields of it. `answers` is how many told it."""

    kind: str
    values: frozenset[str] = frozenset()
    answers: int = 0


def merged(groups: Sequence[TaskGroup], forms: Sequence[AnswerSignature]) -> list[list[int]]:
    """The numbers of the groups of each task. Pure."""
    parent = list(range(len(groups)))

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for first, second in _pairs(groups, forms):
        parent[max(root(first), root(second))] = min(root(first), root(second))
    tasks: dict[int, list[int]] = {}
    for number in range(len(groups)):
        tasks.setdefault(root(number), []).append(number)
    return list(tasks.values())


def _pairs(groups: Sequence[TaskGroup], forms: Sequence[AnswerSignature]) -> Iterator[tuple[int, int]]:
    """Pairs of groups that are one task."""
    words = [" ".join(group.pieces).split() for group in groups]
    alike: dict[int, set[int]] = {}
    like_shapes: dict[tuple[object, ...], list[int]] = {}
    for number, group in enumerate(groups):
        # The remainders, which no template fits, are no prompt that another could be like.
        if group.pieces or group.shape.tools:
            like_shapes.setdefault((*group.shape._replace(tools=()), bool(group.shape.tools)), []).append(
                number
            )
    for numbers in like_shapes.values():
        for first, second in combinations(numbers[:_MOST_COMPARED], 2):
            if not _same_tools(groups[first], groups[second]) or not compatible(forms[first], forms[second]):
                continue
            ratio = _likeness(words[first], words[second])
            if ratio >= SAME:
                yield first, second
            elif ratio >= ALIKE:
                alike.setdefault(first, {first}).add(second)
                alike.setdefault(second, {second}).add(first)
    for first, family in alike.items():
        if len(family) >= _LEAST_FAMILY:
            yield from ((first, second) for second in family if second != first)


def _likeness(first: list[str], second: list[str]) -> float:
    """Share of words in common, in order; prompts of nothing constant are alike."""
    if not first or not second:
        return 1.0 if first == second else 0.0
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    if matcher.real_quick_ratio() < ALIKE or matcher.quick_ratio() < ALIKE:
        return 0.0
    return matcher.ratio()


def _same_tools(first: TaskGroup, second: TaskGroup) -> bool:
    one, other = set(first.shape.tools), set(second.shape.tools)
    return one == other or (bool(one) and len(one & other) >= _SHARED_TOOLS * len(one | other))


def compatible(first: AnswerSignature, second: AnswerSignature) -> bool:
    """Whether two groups may be one task by what is answered; too few answers say nothing."""
    if min(first.answers, second.answers) < _LEAST_ANSWERS:
        return True
    if first.kind != second.kind:
        return False
    shared, all_values = first.values & second.values, first.values | second.values
    return not all_values or len(shared) >= _SHARED_LABELS * len(all_values)
