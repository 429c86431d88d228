"""Near duplicates: MinHash signatures of questions, and the pairs whose likeness reaches a threshold.

The likeness of two texts is the Jaccard index of their sets of five-character pieces, lower case, spaces collapsed.
MinHash estimates it within about 0.04 (one standard error, 128 permutations; Broder 1997), which are products modulo
2⁶⁴ (Dietzfelbinger et al. 1997, Journal of Algorithms 25:19). Candidates share a band of their signatures
(locality-sensitive hashing; Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4). Bands are sorted arrays: a
million samples take 8 MB a band at a time.

Pieces that many questions share (an instruction that an application puts before each) would make all of them alike;
`common_pieces` finds them, and `pieces` leaves them out. `KnownQuestions` tells which new ones are nearly known ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from freehold.datasets.messages import asked_context
from freehold.late import np
from freehold.types.dataset import Sample
from freehold.types.identity import Wordings, question_id, words

if TYPE_CHECKING:
    import numpy.typing as npt


PIECE = 5
PERMUTATIONS = 128
COMMON_SHARE = 0.2
"""A piece in more than this share of the questions says nothing about one of them …"""
COMMON_FROM = 50
"""… if there are at least this many questions."""
FOUND = 0.999
"""Share of the pairs exactly at the threshold that become candidates; of likelier pairs it is more."""
MOST_OF_A_BAND = 200
"""In a band that more samples share than this, not all pairs are looked at: see `_pairs_of`."""
IN_MEMORY = 100_000
"""More signatures than this are kept in a file (512 bytes each)."""
_AT_ONCE = 1 << 18

Pieces: TypeAlias = "npt.NDArray[np.uint32]"
Signatures: TypeAlias = "npt.NDArray[np.uint32]"


class NearPairs(NamedTuple):
    """Places of near duplicates, ``first[i] < second[i]``, and how alike they are."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float32]


def pieces(text: str, common: Pieces | None = None) -> Pieces:
    """32-bit hashes of a text's different pieces, sorted. A shorter text is one piece."""
    plain = " ".join(text.lower().split())
    codes = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if not len(codes):
        return np.empty(0, dtype=np.uint32)
    width = min(PIECE, len(codes))
    hashed = np.zeros(len(codes) - width + 1, dtype=np.uint64)
    for place in range(width):
        hashed = hashed * np.uint64(0x100000001B3) + codes[place : place + len(hashed)]
    hashed ^= hashed >> np.uint64(29)  # mixed, so that the upper half depends on every character
    hashed *= np.uint64(0xBF58476D1CE4E5B9)
    found = np.unique((hashed >> np.uint64(32)).astype(np.uint32))
    if common is not None and len(common):
        at = np.minimum(np.searchsorted(common, found), len(common) - 1)
        found = found[common[at] != found]
    return found


def common_pieces(texts: Iterable[str]) -> Pieces:
    """Pieces that stand in more than `COMMON_SHARE` of the texts, sorted; none for fewer than `COMMON_FROM`."""
    seen = [pieces(text) for text in texts]
    if len(seen) < COMMON_FROM:
        return np.empty(0, dtype=np.uint32)
    values, counts = np.unique(np.concatenate(seen), return_counts=True)
    return np.asarray(values[counts > COMMON_SHARE * len(seen)], dtype=np.uint32)


def signatures(sets: Iterable[Pieces], count: int) -> tuple[Signatures, npt.NDArray[np.bool_]]:
    """A MinHash signature of each set, one a row, and which rows are of sets that are not empty."""
    signed: Signatures
    if count > IN_MEMORY:  # on disk, where the system can put pages aside
        with tempfile.NamedTemporaryFile(prefix="freehold-") as file:
            signed = np.memmap(file, dtype=np.uint32, mode="w+", shape=(count, PERMUTATIONS))
    else:
        signed = np.zeros((count, PERMUTATIONS), dtype=np.uint32)
    there = np.zeros(count, dtype=np.bool_)
    drawn = np.random.default_rng(0).integers(0, 2**64, (2, PERMUTATIONS), dtype=np.uint64)
    factors, summands = drawn[0] | np.uint64(1), drawn[1]
    for row, one in enumerate(sets):
        there[row] = len(one) > 0
        lowest = np.full(PERMUTATIONS, 2**32 - 1, dtype=np.uint32)
        for start in range(0, len(one), _AT_ONCE // PERMUTATIONS):
            some = one[start : start + _AT_ONCE // PERMUTATIONS].astype(np.uint64)
            hashed = (some[:, None] * factors + summands) >> np.uint64(32)
            lowest = np.minimum(lowest, hashed.min(axis=0).astype(np.uint32))
        signed[row] = lowest
    return signed, there


def near_pairs(
    signed: Signatures, there: npt.NDArray[np.bool_], threshold: float, kept: npt.NDArray[np.bool_]
) -> NearPairs:
    """All pairs of rows that are at least `threshold` alike, each once, in order.

    `kept` marks rows to compare with thoroughly (what is held out): pairs with one of those are all looked at, however
    many samples share a band.
    """
    width, bands = _bands(threshold)
    count = np.int64(len(signed))
    found: dict[int, float] = {}
    rows = np.flatnonzero(there)
    for band in range(bands):
        part = signed[rows, band * width : (band + 1) * width].astype(np.uint64)
        keys = np.zeros(len(rows), dtype=np.uint64)
        for column in range(width):
            keys = keys * np.uint64(0x9E3779B97F4A7C15) + part[:, column] + np.uint64(1)
            keys ^= keys >> np.uint64(31)
        order = np.argsort(keys, kind="stable")
        ends = np.flatnonzero(np.diff(keys[order])) + 1
        for run in np.split(order, ends) if len(order) else []:
            if len(run) < 2:
                continue
            for first, second in _pairs_of(rows[run], kept):
                alike = np.mean(signed[first] == signed[second], axis=1)
                for place in np.flatnonzero(alike >= threshold):
                    low, high = sorted((int(first[place]), int(second[place])))
                    found[low * int(count) + high] = float(alike[place])
    codes = np.array(sorted(found), dtype=np.int64)
    similarity = np.array([found[int(code)] for code in codes], dtype=np.float32)
    if not len(codes):
        return NearPairs(codes, codes, similarity)
    return NearPairs(codes // count, codes % count, similarity)


def _bands(threshold: float) -> tuple[int, int]:
    """Rows of a band and the number of bands: the widest that still find a pair at the threshold `FOUND` often.

    A pair of likeness s shares one of b bands of r rows with probability ``1 - (1 - s^r)^b``.
    """
    for width in range(PERMUTATIONS, 1, -1):
        bands = PERMUTATIONS // width
        if 1 - (1 - threshold**width) ** bands >= FOUND:
            return width, bands
    return 1, PERMUTATIONS


def _pairs_of(
    run: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pairs of rows of one band. Of a large one: each row with the next `MOST_OF_A_BAND`, and all with what is
    `kept`: a chain of repeats is found either way, but not every pair in it."""
    size = len(run)
    if size <= MOST_OF_A_BAND:
        first, second = np.triu_indices(size, 1)
        yield run[first], run[second]
        return
    for step in range(1, MOST_OF_A_BAND + 1):
        yield run[:-step], run[step:]
    others = run[~kept[run]]
    for row in run[kept[run]]:
        yield np.full(len(others), row), others


_LOOKED_AT = 2000
"""This many known questions decide which pieces of text all have in common."""

Flags: TypeAlias = "npt.NDArray[np.bool_]"


class KnownQuestions:
    """Questions that others are compared with, signed once. `threshold` is a likeness as in `[curate]
    near_duplicates`; 0 compares only exactly."""

    def __init__(self, samples: Sequence[Sample], threshold: float) -> None:
        self._threshold = threshold
        self._ids = {question_id(one.messages) for one in samples}
        self._wordings = Wordings(words(one) for one in samples)
        texts = [asked_context(one) for one in samples]
        self._common = common_pieces(texts[:: max(1, len(texts) // _LOOKED_AT)])
        self._signed, self._there = signatures((pieces(text, self._common) for text in texts), len(texts))

    def repeated_by(self, new: Sequence[Sample]) -> Flags:
        """Of each new one, whether it is nearly the same as a known one."""
        exactly = np.array([question_id(one.messages) in self._ids for one in new], dtype=np.bool_)
        if not self._threshold or not len(new) or not len(self._signed):
            return exactly
        exactly |= np.array([bool(self._wordings.near(words(one))) for one in new], dtype=np.bool_)
        mine, here = self._sign(new)
        signed, there = np.concatenate([self._signed, mine]), np.concatenate([self._there, here])
        known = np.arange(len(signed)) < len(self._signed)
        pairs = near_pairs(signed, there, self._threshold, known)
        across = known[pairs.first] & ~known[pairs.second]
        exactly[pairs.second[across] - len(self._signed)] = True
        return exactly

    def _sign(self, new: Sequence[Sample]) -> tuple[Signatures, Flags]:
        return signatures((pieces(asked_context(one), self._common) for one in new), len(new))
