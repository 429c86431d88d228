"""Two texts in one message: what stands before them, and how alike they are in numbers. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from freehold.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float32]

NUMBERS = 13
"""Columns that `likeness` gives."""
OFTEN = 0.98
"""Share of messages that must hold both texts."""
_MARKS = (r"^[ \t]*([^\W\d_][^:\n]{0,39}:)", r'("\w{1,39}":)')
_BETWEEN = ("\n\n", "\n", "\t", " ||| ", "[SEP]")


def marks_of(texts: Sequence[str]) -> tuple[str, str] | None:
    """What stands before the first and before the second text (``Sentence 1:``; an empty one: the beginning); None
    where messages are not of two."""
    needed = OFTEN * len(texts)
    for pattern in _MARKS:
        each = [tuple(re.findall(pattern, text, re.MULTILINE)) for text in texts]
        counts = Counter(mark for marks in each for mark in set(marks))
        common = {mark for mark, count in counts.items() if count >= needed}
        orders = Counter(tuple(mark for mark in marks if mark in common) for marks in each)
        order, count = orders.most_common(1)[0] if orders else ((), 0)
        if len(order) == 2 and len(set(order)) == 2 and count >= needed:
            return order[0], order[1]
    for between in _BETWEEN:
        if sum(text.count(between) == 1 for text in texts) >= max(1.0, needed):
            return "", between
    return None


def likeness(one: Floats, other: Floats, texts: Sequence[str]) -> Floats:
    """How alike two texts are, by their embeddings of length 1, their words and their letters: `NUMBERS` values, which
    are those of one row of a head's columns."""
    cosine = float(one @ other)
    words = [set(re.findall(r"\w+", text.lower())) for text in texts]
    letters = [{text[at : at + 4].lower() for at in range(len(text) - 3)} for text in texts]
    shared = [
        len(words[0] & words[1]) / max(1, len(words[0] | words[1])),
        len(words[0] & words[1]) / max(1, min(map(len, words))),
        len(letters[0] & letters[1]) / max(1, len(letters[0] | letters[1])),
        min(1.0, abs(len(words[0]) - len(words[1])) / 10),
        float(texts[0].lower() == texts[1].lower()),
    ]
    return np.array([cosine, cosine**2, cosine**3, *shared, *(one * one for one in shared)], dtype=np.float32)
