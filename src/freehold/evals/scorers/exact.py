"""`exact`: the answer is the reference, character for character."""

from __future__ import annotations

import unicodedata
from typing import Any

from freehold.evals.scorer import (
    EMPTY,
    NO_REFERENCE,
    Options,
    Scorer,
    read_options,
    right,
    shortened,
    wrong,
)
from freehold.evals.text import collapsed
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score


class ExactOptions(Options, frozen=True, kw_only=True):
    """What may differ. Unicode is always compared in NFC, outer space ignored unless `strip` is false."""

    strip: bool = True
    case_sensitive: bool = True
    collapse_whitespace: bool = False


class ExactScorer(Scorer):
    """1 when the answer equals the reference under the options, else 0."""

    name = "exact"
    binary = True
    needs_reference = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, ExactOptions)

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None:
            return NO_REFERENCE
        if self._normal(answer) == self._normal(reference):
            return right()
        return wrong(f"different: {shortened(answer)}") if answer.strip() else EMPTY

    def _normal(self, text: str) -> str:
        text = collapsed(text) if self.options.collapse_whitespace else unicodedata.normalize("NFC", text)
        text = text.strip() if self.options.strip else text
        return text if self.options.case_sensitive else text.casefold()
