"""Which questions say the same but for one word: it is garbled, left out or put in, or all stand in another order.

A question is its bag of words (`identity.words`). Two are near when the bags are equal, when one has a single word
more, or when each has one that the other has not and the new one is an error: a word without a digit that no question
beside has, in a place that few fill. "How do I close my account" and "How do I remove my account" are two questions,
and so are two that differ in a town. At least `LEAST` words must be shared.

Each bag without one of its words has an id; two bags that are near share one, so nothing is compared in pairs (the
neighbourhoods of deletions of Mor and Fraenkel 1982, Communications of the ACM 25:935).

Of two parts a question is near as well to one that begins or ends with all of it, or with which it begins or ends,
where `RUN` words or more stand in both and at least `PART` of the longer one.

Not covered: two words at once, another wording. Longer texts with more changes are found by their pieces.
"""

from __future__ import annotations

import hashlib
import math
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

LEAST = 3
"""Words that two questions must share, to be near by more than their order."""
FILLERS = 3
"""In a place that more different words fill, a word is what the question is about."""
MOST_WORDS = 256
"""A longer question is near only to one of the same words."""
RUN, PART, _MOST_OF_A_RUN = 8, 0.45, 64
"""Words in a row that make another question the half of this one, or this one with words before it; a shorter run many
people write."""
_BITS = 2**64 - 1


class Wordings:
    """Questions that others are compared with. `within`: the others are these themselves."""

    def __init__(self, questions: Iterable[Sequence[str]], *, within: bool = False) -> None:
        self._questions: list[tuple[str, ...]] = []
        self._known: Counter[str] = Counter()
        self._own = int(within)
        self._runs: dict[int, list[int]] = {}
        first: dict[int, int] = {}
        self._again: dict[int, list[int]] = {}
        ids, places = array("Q"), array("Q")
        for place, words in enumerate(questions):
            asked = tuple(map(sys.intern, words))
            self._questions.append(asked)
            whole, *less = _sums(asked)
            if not asked or first.setdefault(whole, place) != place:
                self._again.setdefault(first.get(whole, place), []).append(place)
                continue
            for run in () if within else {asked, *_runs(asked)}:
                self._runs.setdefault(hash(run), []).append(place)
            self._known.update(set(asked))
            ids.extend((whole, *less))
            places.extend([place] * (1 + len(less)))
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self._ids = array("Q", (ids[at] for at in order))
        self._places = array("Q", (places[at] for at in order))

    def near(self, words: Sequence[str]) -> set[int]:
        """Places of the questions that are near to this one; those of the same words are among them."""
        found: set[int] = set()
        sums = _sums(words) if words else []
        for id in sums:
            low, high = bisect_left(self._ids, id), bisect_right(self._ids, id)
            for place in self._places[low:high]:
                if self._one_apart(words, self._questions[place], high - low):
                    found.update((place, *self._again.get(place, ())))
        asked = tuple(map(sys.intern, words))
        for run in (asked, *_runs(asked)):
            for place in self._runs.get(hash(run), ()):
                other = self._questions[place]
                if len(run) >= RUN and run in (asked, other):  # else both only share an end
                    found.update((place, *self._again.get(place, ())))
        return found

    def _one_apart(self, words: Sequence[str], others: Sequence[str], fillers: int) -> bool:
        """Whether two questions that share an id are near: `fillers` questions have it."""
        bag, other = Counter(words), Counter(others)
        new, old = bag - other, other - bag
        if new.total() + old.total() < 2:
            return True
        if new.total() != 1 or old.total() != 1 or fillers > FILLERS:
            return False
        return any(
            self._known[word] <= self._own and not _has_digit(word)
            for word in (*new, *(old if self._own else ()))
        )


def near_ids(questions: Iterable[Sequence[str]]) -> list[list[bytes]]:
    """For each question ids of its words in any order, and of those without one that has no digit, in a place that few
    of the questions fill otherwise: two that differ in such a word share one. 8 bytes each; a word cannot be told from
    them."""
    sums = [_sums(words, numbers=False) if words else [] for words in questions]
    often = Counter(
        id for whole, *less in {one[0]: one for one in sums if one}.values() for id in (whole, *less)
    )
    return [[_digest(id.to_bytes(8)) for id in ids if id == ids[0] or often[id] <= FILLERS] for ids in sums]


def connected(pairs: Iterable[tuple[int, int]], count: int) -> list[int]:
    """For each of `count` things the first one that it is joined with, by `pairs` or through others."""
    first = list(range(count))

    def root(one: int) -> int:
        while first[one] != one:
            first[one] = first[first[one]]
            one = first[one]
        return one

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        first[high] = low
    return [root(one) for one in range(count)]


def _sums(words: Sequence[str], *, numbers: bool = True) -> list[int]:
    """What is the same for the same bag of words: the sum of their hashes, 64 bits; and the sums without each one of
    them (with a digit only if `numbers`), where `LEAST` stay."""
    whole = sum(map(_hash, words)) & _BITS
    left = (
        {word for word in words if numbers or not _has_digit(word)}
        if LEAST < len(words) <= MOST_WORDS
        else ()
    )
    return [whole, *{(whole - _hash(word)) & _BITS for word in left}]


def _runs(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What a question begins and ends with, as far as it makes another one."""
    if len(words) <= _MOST_OF_A_RUN:
        for length in range(max(RUN, math.ceil(PART * len(words))), len(words)):
            yield words[:length]
            yield words[-length:]


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))


@lru_cache(maxsize=1 << 16)
def _hash(word: str) -> int:
    return int.from_bytes(_digest(word.encode("utf-8", "surrogatepass")))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()
