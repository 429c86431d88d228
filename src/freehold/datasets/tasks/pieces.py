"""Constant pieces of a prompt: text cut into tokens, and whether pieces stand in a text in their order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from freehold.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

WORDS_IN_SHINGLE = 3
SLOT = "{…}"
"""How a slot is shown in a skeleton."""
_BY_SIGN = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Japanese, Chinese and Korean signs: written without spaces, so each is a token."""
_TOKEN = re.compile(rf"[{_BY_SIGN}]|[^\W_{_BY_SIGN}]+|\n|[^\w\s]|_")
_OPENS, _ENDS, _NUMBER = 1, 2, 3
_FIRST_WORD = 4
_P = 0x9E3779B97F4A7C15


class Cut(NamedTuple):
    """A text in tokens: their ids (first and last are marks of the ends) and where each begins and stops."""

    ids: npt.NDArray[np.uint64]
    spans: tuple[tuple[int, int], ...]

    def shingles(self) -> npt.NDArray[np.uint64]:
        """A hash for each three tokens in a row; empty for a text of none."""
        if len(self.ids) < WORDS_IN_SHINGLE:
            return np.empty(0, dtype=np.uint64)
        first, second, third = self.ids[:-2], self.ids[1:-1], self.ids[2:]
        prime = np.uint64(_P)
        return (first * prime + second) * prime + third


class Cutter:
    """Cuts texts into tokens; a token has the same id in all texts of one cutter. Every number is one and the same
    token, and so are dates and identifiers that hold a digit: they change from request to request."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def cut(self, text: str) -> Cut:
        """The tokens of a text."""
        ids, spans = [_OPENS], []
        for found in _TOKEN.finditer(text):
            word = found[0]
            spans.append(found.span())
            if any(map(str.isdigit, word)):
                ids.append(_NUMBER)
            else:
                ids.append(self._ids.setdefault(word, len(self._ids) + _FIRST_WORD))
        ids.append(_ENDS)
        return Cut(np.array(ids, dtype=np.uint64), tuple(spans))


def is_number(token: int) -> bool:
    """Whether a token's id stands for a number."""
    return token == _NUMBER


def stand_in_order(pieces: Sequence[str], text: str) -> bool:
    """Whether a text holds all pieces, one after another."""
    at = 0
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def skeleton(pieces: Sequence[str], text: str) -> str:
    """The template that `text` was made from: the pieces with a slot wherever something stands between them."""
    shown, at = "", 0
    for piece in pieces:
        begin = text.find(piece, at)
        shown += (SLOT if text[at:begin].strip() else text[at:begin]) + piece
        at = begin + len(piece)
    return shown + (SLOT if text[at:].strip() else "")
