"""Which texts share words with a question: BM25 (Robertson and Zaragoza 2009), computed by bm25s.

Words are what Unicode calls word characters, in lower case. Scripts that put no spaces between words are cut into pairs
of characters, as search engines do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from freehold.errors import MissingExtraError
from freehold.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

_SIGNS = r"\u0300-\u036f\u0900-\u0dff"
"""Vowel signs and accents, which Python does not count among word characters."""
_NO_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[\w{_SIGNS}{_NO_SPACES}]+")
_UNSPACED = re.compile(rf"[{_NO_SPACES}]")


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if _UNSPACED.search(word) is None:
            found.append(word)
        else:
            found.extend(word[place : place + 2] for place in range(max(1, len(word) - 1)))
    return found


class Bm25:
    """An index of texts in memory. Raises `MissingExtraError` without bm25s."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._index: Any = _bm25s().BM25()
        self._index.index([words(text) for text in texts], show_progress=False)
        self._count = len(texts)

    def scores(self, question: str) -> npt.NDArray[np.float32]:
        """How much each text says about the question; 0 where they share no word."""
        asked = [word for word in words(question) if word in self._index.vocab_dict]
        if not asked:
            return np.zeros(self._count, dtype=np.float32)
        return np.asarray(self._index.get_scores(asked), dtype=np.float32)


def require() -> None:
    """Raise `MissingExtraError` where the library is missing."""
    _bm25s()


def _bm25s() -> Any:
    try:
        import bm25s
    except ImportError:
        raise MissingExtraError("finding examples by their words", "examples") from None
    return bm25s
