"""`regex`: the answer matches a pattern, or what a pattern finds in it is the reference."""

from __future__ import annotations

import re
from typing import Any, Literal

from freehold.errors import ConfigError
from freehold.evals.normalizing import collapsed
from freehold.evals.scorer import (
    EMPTY,
    NO_REFERENCE,
    Options,
    Scorer,
    malformed,
    read_options,
    right,
    shortened,
    wrong,
)
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score


class RegexOptions(Options, frozen=True, kw_only=True):
    """`pattern` in Python's syntax; without one each reference is a pattern of its own.

    With a `group` (number or name) what it captured must equal the reference; the `last` match counts where
    there are several. `match` is ``search`` (anywhere) or ``full`` (the whole answer).
    """

    pattern: str | None = None
    group: int | str | None = None
    match: Literal["search", "full"] = "search"
    ignore_case: bool = False
    dot_matches_newline: bool = False


class RegexScorer(Scorer):
    """1 when the pattern matches. With a group, an answer without a match is a format failure."""

    name = "regex"
    binary = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, RegexOptions)
        self._pattern = None if self.options.pattern is None else self._compiled(self.options.pattern)
        self.needs_reference = self._pattern is None or self.options.group is not None
        if self.options.group is not None:
            if self._pattern is None:
                raise ConfigError("scorer regex: group needs a pattern", hint="set task.options.pattern")
            known = {*range(self._pattern.groups + 1), *self._pattern.groupindex}
            if self.options.group not in known:
                raise ConfigError(f"scorer regex: the pattern has no group {self.options.group}")

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None and self.needs_reference:
            return NO_REFERENCE
        pattern = self._pattern
        if pattern is None:
            assert reference is not None
            try:
                pattern = self._compiled(reference)
            except ConfigError as error:
                return Score(value=None, reason=f"reference_not_a_pattern: {error.message}")
        if not answer.strip():
            return EMPTY
        text = answer.strip()
        found = list(pattern.finditer(text)) if self.options.match == "search" else [pattern.fullmatch(text)]
        last = found[-1] if found else None
        if self.options.group is None:
            return right() if last is not None else wrong(f"no_match: {shortened(answer)}")
        if last is None or last[self.options.group] is None:
            return malformed(f"no_match: {shortened(answer)}")
        given = last[self.options.group]
        assert reference is not None
        return right() if self._same(given, reference) else wrong(f"wrong_group: {shortened(given)}")

    def _same(self, given: str, reference: str) -> bool:
        given, reference = collapsed(given), collapsed(reference)
        return given.casefold() == reference.casefold() if self.options.ignore_case else given == reference

    def _compiled(self, pattern: str) -> re.Pattern[str]:
        flags = (re.IGNORECASE if self.options.ignore_case else 0) | (
            re.DOTALL if self.options.dot_matches_newline else 0
        )
        try:
            return re.compile(pattern, flags)
        except re.error as error:
            raise ConfigError(f"scorer regex: not a valid pattern: {error}") from None
