"""How many words two texts have in common."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
"""A word; of scripts that write none apart, each character."""


def overlap(answer: str, reference: str) -> float:
    """F1 of the words of two texts, from 0 to 1: case and punctuation don't count, how often a word comes does.

    As for SQuAD (Rajpurkar et al. 2016, section 6.1), without leaving out articles. Texts without any word are
    compared as they stand.
    """
    given, expected = _words(answer), _words(reference)
    if not given or not expected:
        return float(answer.strip() == reference.strip())
    shared = (given & expected).total()
    return 2 * shared / (given.total() + expected.total())


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
