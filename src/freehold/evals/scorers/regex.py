"""`regex`: the answer matches a pattern, or what a pattern finds in it is the reference."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from freehold.bounded.pool import BoundedCaller, OutOfBoundsError
from freehold.errors import ConfigError
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
from freehold.evals.scorers.pattern_job import PatternFound, PatternSearch
from freehold.evals.text import collapsed
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score

# A pattern on one answer: more than an honest one ever takes. What is not decided by then is not scored.
_CPU_S, _WALL_S, _MEMORY = 0.25, 5.0, 1024 * 1024 * 1024


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
    """1 when the pattern matches. With a group, an answer without a match is a format failure.

    A pattern that backtracks without end on an answer is ended, and the answer is not scored.
    """

    name = "regex"
    binary = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, RegexOptions)
        self._flags = int(
            (re.IGNORECASE if self.options.ignore_case else 0)
            | (re.DOTALL if self.options.dot_matches_newline else 0)
        )
        self._caller = BoundedCaller("freehold.evals.scorers.pattern_job")
        compiled = None if self.options.pattern is None else self._compiled(self.options.pattern)
        self.needs_reference = compiled is None or self.options.group is not None
        self.right_by_agreement = self.needs_reference
        if self.options.group is not None:
            if compiled is None:
                raise ConfigError("scorer regex: group needs a pattern", hint="set task.options.pattern")
            known = {*range(compiled.groups + 1), *compiled.groupindex}
            if self.options.group not in known:
                raise ConfigError(f"scorer regex: the pattern has no group {self.options.group}")

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None and self.needs_reference:
            return NO_REFERENCE
        pattern = self.options.pattern
        if pattern is None:
            assert reference is not None
            pattern = reference
        if not answer.strip():
            return EMPTY
        full, group = self.options.match == "full", self.options.group
        search = PatternSearch(pattern, self._flags, answer.strip(), full, group)
        try:
            (result,) = self._caller.run(
                "find", [msgspec.msgpack.encode(search)], cpu_s=_CPU_S, wall_s=_WALL_S, memory_bytes=_MEMORY
            )
        except OutOfBoundsError as error:
            return Score(
                value=None, reason=f"not_decided: the pattern takes too much {error.why} on this answer"
            )
        last = msgspec.msgpack.decode(result, type=PatternFound)
        if last.error is not None:
            return Score(value=None, reason=f"reference_not_a_pattern: {last.error}")
        if group is None:
            return right() if last.matched else wrong(f"no_match: {shortened(answer)}")
        if last.captured is None:
            return malformed(f"no_match: {shortened(answer)}")
        assert reference is not None
        if self._same(last.captured, reference):
            return right()
        return wrong(f"wrong_group: {shortened(last.captured)}")

    async def close(self) -> None:
        self._caller.close()

    def _same(self, given: str, reference: str) -> bool:
        given, reference = collapsed(given), collapsed(reference)
        return given.casefold() == reference.casefold() if self.options.ignore_case else given == reference

    def _compiled(self, pattern: str) -> re.Pattern[str]:
        try:
            return re.compile(pattern, self._flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigError(f"scorer regex: not a valid pattern: {error}") from None
