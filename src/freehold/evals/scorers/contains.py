"""`contains`: certain texts are in the answer, others are not."""

from __future__ import annotations

import re
from typing import Any

from freehold.errors import ConfigError
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


class ContainsOptions(Options, frozen=True, kw_only=True):
    """`all` must be there, one of `any`, none of `none`. Without `all` and `any` the reference must be there.

    `words` asks for whole words. White space is compared as single spaces.
    """

    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    words: bool = False
    case_sensitive: bool = False


class ContainsScorer(Scorer):
    """1 when all conditions hold; the reason names the first that does not."""

    name = "contains"
    binary = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, ContainsOptions)
        if any(not text.strip() for text in (*self.options.all, *self.options.any, *self.options.none)):
            raise ConfigError("scorer contains: an empty text is in every answer", hint="leave it out")
        self.needs_reference = not (self.options.all or self.options.any)
        self.right_by_agreement = self.needs_reference

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if self.needs_reference and not (reference or "").strip():
            return NO_REFERENCE
        if not answer.strip():
            return EMPTY
        text = self._normal(answer)
        wanted = (reference or "",) if self.needs_reference else self.options.all
        for part in wanted:
            if not self._has(text, part):
                return wrong(f"missing: {shortened(part)}")
        if self.options.any and not any(self._has(text, part) for part in self.options.any):
            return wrong("missing: any of the alternatives")
        for part in self.options.none:
            if self._has(text, part):
                return wrong(f"forbidden: {shortened(part)}")
        return right()

    def _normal(self, text: str) -> str:
        return collapsed(text) if self.options.case_sensitive else collapsed(text).casefold()

    def _has(self, text: str, part: str) -> bool:
        part = self._normal(part)
        if not self.options.words:
            return part in text
        return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None
