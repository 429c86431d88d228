"""Words and their parts as features of a text: what a bag of them tells besides its embedding.

Words with pairs of neighbours, and runs of two to five characters within a word: each counted (a logarithm of it) and
weighed by how rare it is, then those of a text of either kind brought to length 1, so that the many runs of a long text
do not drown its words.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from freehold import files
from freehold.errors import WeightsError
from freehold.late import np
from freehold.types.encoder import MOST_CHARACTERS

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float32]

MOST_PIECES = 20_000
"""Of each kind and view; the commonest are known."""
WHOLE = "="
"""What a piece begins with that is a word or two."""
WORD = re.compile(r"\w+|[^\w\s]")


def words_of(text: str) -> list[str]:
    """The words of a text, and each of its signs."""
    return WORD.findall(text)


def pieces(text: str) -> Iterator[str]:
    """All pieces of a text, each as often as it comes."""
    words = words_of(text[:MOST_CHARACTERS].lower())
    for word in words:
        yield f"{WHOLE}{word}"
        padded = f" {word} "
        for size in range(2, 6):
            for at in range(len(padded) - size + 1):
                yield padded[at : at + size]
    for one, other in pairwise(words):
        yield f"{WHOLE}{one} {other}"


class Words:
    """The pieces that are known, of each view, and how much each counts; a feature is one piece of one view."""

    def __init__(self, known: Sequence[Sequence[str]], weights: Floats) -> None:
        self.known = tuple(tuple(one) for one in known)
        self.weights = weights
        starts = [sum(map(len, self.known[:view])) for view in range(len(self.known))]
        self._places = [
            {piece: start + at for at, piece in enumerate(one)}
            for start, one in zip(starts, self.known, strict=True)
        ]
        self._is_whole = [piece.startswith(WHOLE) for one in self.known for piece in one]

    def as_json(self) -> bytes:
        """As a file has them, which `read` reads."""
        return json.dumps(
            {"known": self.known, "weights": self.weights.round(5).tolist()}, ensure_ascii=False
        ).encode()

    def of(self, texts: Sequence[str]) -> tuple[list[int], list[float]]:
        """The features that a request's texts have, and their values."""
        places: list[int] = []
        values: list[float] = []
        for known, text in zip(self._places, texts, strict=False):
            counts = Counter(known[piece] for piece in pieces(text) if piece in known)
            each = [(1 + math.log(count)) * float(self.weights[at]) for at, count in counts.items()]
            squares = [0.0, 0.0]
            for at, value in zip(counts, each, strict=True):
                squares[self._is_whole[at]] += value * value
            lengths = [math.sqrt(one) for one in squares]
            places += counts
            values += [value / lengths[self._is_whole[at]] for at, value in zip(counts, each, strict=True)]
        return places, values


def read(path: Path) -> Words:
    """The words of a file. Raises `WeightsError` where it is damaged, `StorageError`."""
    with files.reading(path):
        data = path.read_bytes()
    try:
        made = msgspec.json.decode(data, type=_File)
    except msgspec.MsgspecError as error:
        raise WeightsError(f"{path} does not hold words: {error}") from None
    if len(made.weights) != sum(map(len, made.known)):
        raise WeightsError(f"{path} has not one weight for each of its pieces")
    return Words(made.known, np.array(made.weights, dtype=np.float32))


class _File(msgspec.Struct, frozen=True):
    known: tuple[tuple[str, ...], ...]
    weights: list[float]


def learn(views: Sequence[Sequence[str]]) -> Words:
    """The pieces of at least two texts, by the texts of each view."""
    known, weights = [], []
    for texts in views:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(pieces(text)))
        by_count = [one for one in counts.most_common() if one[1] > 1]
        common = [one for one in by_count if one[0].startswith(WHOLE)][:MOST_PIECES]
        common += [one for one in by_count if not one[0].startswith(WHOLE)][:MOST_PIECES]
        known.append([piece for piece, _ in common])
        weights += [math.log((1 + len(texts)) / (1 + count)) + 1 for _, count in common]
    return Words(known, np.array(weights, dtype=np.float32).round(5))
