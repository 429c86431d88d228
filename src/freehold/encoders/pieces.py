"""Which piece of a text a field copies, and how likely that is. Pure.

A head of kind ``copied`` gives three logits for each token: a piece begins here, goes on here, ends here. The score of
a piece is the sum of its first token's first, of the second of all tokens behind that, and of its last token's third;
that of no piece at all is 0. One softmax over every piece of the text and none gives probabilities that sum to one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from freehold.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

TAGS = 3
"""Outputs of a head of kind ``copied``."""
NEVER = -1e9
"""Score of beginning or ending where no piece may."""

Reals: TypeAlias = "npt.NDArray[np.floating]"
Chars: TypeAlias = "npt.NDArray[np.intp]"


class Edges(NamedTuple):
    """For each token the character at which a piece would begin with it, and end with it; -1 where none may."""

    begins: Chars
    ends: Chars


class LikelyPiece(NamedTuple):
    """The likeliest piece, None where that is none, with its probability and that of none."""

    text: str | None
    probability: float
    none: float


def edges_of(text: str, spans: Sequence[tuple[int, int]]) -> Edges:
    """Where pieces may begin and end, from where tokens stand in the text: empty for those that stand nowhere, and with
    the space before the word, as some tokenizers have it."""
    begins, ends = np.full((2, len(spans)), -1, dtype=np.intp)
    for place, (first, end) in enumerate(spans):
        while first < end and text[first].isspace():
            first += 1
        if first < end:
            begins[place] = first if is_edge(text, first) else -1
            ends[place] = end if is_edge(text, end) else -1
    # Of several tokens of one character, the first begins with it and the last ends with it.
    begins[1:][begins[1:] == begins[:-1]] = -1
    ends[:-1][ends[:-1] == ends[1:]] = -1
    return Edges(begins, ends)


def is_edge(text: str, at: int) -> bool:
    """Whether a piece may begin or end there: within no number, nor a word of a script that has spaces between them."""
    return WITHIN.fullmatch(text[max(0, at - 1) : at + 1]) is None


WITHIN = re.compile(r"\d\d|[^\W\d_\u0590-\U0010ffff]{2}")
"""Two digits, or two letters. Behind Latin, Greek, Cyrillic and Armenian come scripts in which small words are written
together with others."""


def bounds_of(
    logits: Reals, begins: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_]
) -> tuple[Reals, Reals]:
    """Scores of beginning and of ending at each token [texts, tokens], of logits [texts, tokens, TAGS]; a piece's score
    is the sum of the two."""
    going_on = np.cumsum(logits[..., 1], axis=-1)
    return (
        np.where(begins, logits[..., 0] - going_on, NEVER),
        np.where(ends, going_on + logits[..., 2], NEVER),
    )


def log_total(first: Reals, last: Reals) -> Reals:
    """The logarithm of what the scores of all pieces and of none come to, of `bounds_of`."""
    total = np.logaddexp.accumulate(first, axis=-1) + last
    made: Reals = np.logaddexp(0.0, np.logaddexp.reduce(total, axis=-1))
    return made


def likeliest(logits: Reals, text: str, edges: Edges) -> LikelyPiece:
    """The answer to one text, of logits [tokens, TAGS] divided by the temperature."""
    first, last = bounds_of(logits.astype(np.float64), edges.begins >= 0, edges.ends >= 0)
    total = float(log_total(first, last))
    best = np.maximum.accumulate(first) + last
    end = int(best.argmax())
    none, some = float(np.exp(-total)), float(np.exp(best[end] - total))
    if some <= none:
        return LikelyPiece(None, none, none)
    begin = int(first[: end + 1].argmax())
    return LikelyPiece(text[edges.begins[begin] : edges.ends[end]], some, none)
