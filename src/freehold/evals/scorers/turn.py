"""`turn`: what an assistant does next is what the recorded one did: the same calls, words, or a refusal.

Every turn gets a score. A model that calls a tool where words were wanted is wrong, and so is one that talks where a
call was wanted: `tool_call` scores only the one half, a scorer of texts only the other.

Covered: calls in any order and under any id, arguments by the tool's schema, tools that were not offered, refusals,
texts by a scorer of your choice.
Not covered: what stands beside a call; whether another way to the same end would have been as good.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

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
from freehold.evals.scorers.tool_call import ToolCallScorer
from freehold.evals.text import BrokenCall, Call, Fault, declared_parameters, first_unmatched, plain_name
from freehold.evals.turns import (
    Leeway,
    Turn,
    api_calls,
    difference,
    reference_turn,
    refusal_pattern,
    refuses,
    written_calls,
)
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, Score

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
"""A word; of scripts that write none apart, each character."""

WORDS = "words"
"""The default for texts: the words in common. It needs no model, and knows nothing of meaning."""
ANY = "any"


class TurnOptions(Options, frozen=True, kw_only=True):
    """`text` says how a text is scored where a text was wanted: ``words`` (F1 of the words in common), ``any`` (only
    that it is one) or another scorer's name with its `text_options`.

    `calls`: ``api``, only calls that the endpoint returns as such; ``text``, also those an answer spells out.
    `tolerance` is relative, for numbers in arguments; `sets` are paths of lists whose order does not count; `ignore`
    paths that don't count; `strings` as in `tool_call`. `refusals` are further patterns of a refusal's words.
    """

    text: str = WORDS
    text_options: dict[str, Any] = {}
    calls: Literal["api", "text"] = "api"
    tolerance: float = 0.0
    sets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    strings: Literal["auto", "lenient", "exact"] = "auto"
    refusals: tuple[str, ...] = ()


class TurnScorer(Scorer):
    """1 for the right calls, a refusal where one was wanted, and what the texts' scorer says for a text.

    Reasons besides those of `tool_call`: ``not_offered``, ``call_as_text``, ``refused``, ``not_refused``,
    ``empty_answer``, and the texts' scorer's own. `parts` has ``decision``: 1 where it called, talked or refused as
    was wanted.
    """

    name = "turn"
    needs_reference = True
    checks_parity = False
    whole_groups = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, TurnOptions)
        self._leeway = Leeway(
            tolerance=self.options.tolerance,
            sets=frozenset(self.options.sets),
            ignored=frozenset(self.options.ignore),
            lenient=self.options.strings == "lenient",
        )
        self._accepted = ToolCallScorer({"strings": self.options.strings, "ignore": self.options.ignore})
        self._refusal = _refusals(self.options)
        self._text = _text_scorer(self.options)
        self.binary = self.options.text == ANY or (self._text is not None and self._text.binary)
        self.right_by_agreement = self._text is None or self._text.right_by_agreement
        self.at_once = 1 if self._text is None else self._text.at_once
        self.asks = None if self._text is None else self._text.asks

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None:
            return NO_REFERENCE
        declared = declared_parameters(sample.tools)
        wanted = reference_turn(reference, sample, frozenset(declared), self._refusal)
        try:
            calls = api_calls(answer)
        except BrokenCall as error:
            return malformed(f"broken_call: {error}", decision=float(bool(wanted.calls)))
        written = () if calls else written_calls(answer, frozenset(declared))
        if self.options.calls == "text":
            calls, written = calls or written, ()
        unknown = [one.name for one in calls if declared and plain_name(one.name) not in declared]
        if unknown:
            return wrong(f"not_offered: {unknown[0]}", decision=float(bool(wanted.calls)))
        if calls:
            return await self._calls(sample, answer, calls, wanted)
        if not answer.strip():
            return EMPTY
        return await self._words(sample, answer, wanted, written)

    async def _calls(self, sample: Sample, answer: str, calls: Sequence[Call], wanted: Turn) -> Score:
        if not wanted.calls:
            return wrong(f"unexpected_call: {calls[0].name}", decision=0.0)
        if wanted.accepted:
            score = await self._accepted.score(sample, answer, wanted.text)
            return Score(
                value=score.value,
                reason=score.reason,
                format_ok=score.format_ok,
                parts={**score.parts, "decision": 1.0},
            )
        if len(calls) != len(wanted.calls):
            fault: Fault | None = Fault(
                "wrong_count", f"{len(calls)} calls, expected {len(wanted.calls)}", False
            )
        else:
            declared = declared_parameters(sample.tools)
            fault = first_unmatched(
                [
                    [self._fault(call, expected, declared.get(plain_name(expected.name))) for call in calls]
                    for expected in wanted.calls
                ]
            )
        if fault is None:
            return right(decision=1.0, function=1.0, arguments=1.0)
        return wrong(
            f"{fault.code}: {fault.detail}", decision=1.0, function=float(fault.name_right), arguments=0.0
        )

    def _fault(self, call: Call, expected: Call, schema: dict[str, Any] | None) -> Fault | None:
        if plain_name(call.name) != plain_name(expected.name):
            return Fault("wrong_function", f"{call.name}, expected {expected.name}", False)
        return difference(call.arguments, expected.arguments, schema or {}, self._leeway)

    async def _words(self, sample: Sample, answer: str, wanted: Turn, written: Sequence[Call]) -> Score:
        refused = refuses(answer, self._refusal)
        if wanted.calls:
            code = "call_as_text" if written else "refused" if refused else "no_call"
            return wrong(f"{code}: {shortened(answer)}", decision=0.0)
        if wanted.kind == "no call" or (self.right_by_agreement and answer.strip() == wanted.text):
            return right(decision=1.0)
        if wanted.kind == "refusal":
            return (
                right(decision=1.0) if refused else wrong(f"not_refused: {shortened(answer)}", decision=0.0)
            )
        if refused:
            return wrong(f"refused: {shortened(answer)}", decision=0.0)
        if self.options.text == ANY:
            return right(decision=1.0)
        if self._text is None:
            value = overlap(answer, wanted.text)
            return Score(value=value, reason=f"words: {value:.4f} in common", parts={"decision": 1.0})
        score = await self._text.score(sample, answer, wanted.text)
        return Score(
            value=score.value,
            reason=score.reason,
            format_ok=score.format_ok,
            parts={**score.parts, "decision": 1.0},
        )

    async def close(self) -> None:
        """Release what the texts' scorer holds open."""
        if self._text is not None:
            await self._text.close()

    @classmethod
    def own_slices(
        cls, options: dict[str, Any], samples: Sequence[Sample], references: Sequence[str | None]
    ) -> dict[str, list[str | None]]:
        """``turn``: what was wanted; ``turn number``: how far into its conversation. Each only where it differs."""
        pattern = _refusals(read_options(cls.name, options, TurnOptions))
        kinds: list[str | None] = [
            None
            if reference is None
            else reference_turn(reference, sample, frozenset(declared_parameters(sample.tools)), pattern).kind
            for sample, reference in zip(samples, references, strict=True)
        ]
        numbers: list[str | None] = [_number(sample) for sample in samples]
        found = {"turn": kinds, "turn number": numbers}
        return {name: values for name, values in found.items() if len(set(values) - {None}) > 1}

    @classmethod
    def own_notes(
        cls, options: dict[str, Any], incumbent: Sequence[EvalResult], candidate: Sequence[EvalResult]
    ) -> list[str]:
        """What each side did wrong, and what the texts' scores mean."""
        notes = []
        for name, results in (("incumbent", incumbent), ("candidate", candidate)):
            if told := _wrongs(results):
                notes.append(f"The {name}'s wrong turns: {told}.")
        given = read_options(cls.name, options, TurnOptions)
        text = given.text
        if text == WORDS:
            notes.append(
                "Texts are scored by the words they share with the recorded one, which knows nothing of meaning: "
                'options = { text = "semantic" } or "judge" name a scorer that does.'
            )
        elif text == ANY:
            notes.append("What texts say was not scored, only that a text was wanted and given.")
        elif (texts := _text_scorer(given)) is not None:
            notes += texts.own_notes(given.text_options, incumbent, candidate)
        return notes

    @classmethod
    def own_sandbox(cls, options: dict[str, Any]) -> str | None:
        given = read_options(cls.name, options, TurnOptions)
        texts = _text_scorer(given)
        return None if texts is None else texts.own_sandbox(given.text_options)


def _number(sample: Sample) -> str:
    """Which turn of the assistant is asked for, as far as its request tells."""
    number = 1 + sum(message.role == "assistant" for message in sample.messages)
    return str(number) if number < 4 else "4 to 6" if number < 7 else "7 and later"


def _wrongs(results: Sequence[EvalResult]) -> str:
    codes = Counter(
        (one.score.reason or "wrong").partition(":")[0] for one in results if one.score.value == 0
    )
    return ", ".join(f"{count:,} {code}" for code, count in codes.most_common(8))


def _refusals(options: TurnOptions) -> re.Pattern[str]:
    try:
        return refusal_pattern(options.refusals)
    except re.error as error:
        raise ConfigError(f"scorer turn: option refusals: not a pattern: {error}") from None


def _text_scorer(options: TurnOptions) -> Scorer | None:
    if options.text in (WORDS, ANY):
        if options.text_options:
            raise ConfigError(
                f"scorer turn: text_options belong to a scorer, and text is {options.text}",
                hint='name it, for example text = "semantic"',
            )
        return None
    if options.text == TurnScorer.name:
        raise ConfigError("scorer turn: text is turn, expected a scorer of texts")
    from freehold.evals.scorers import make  # the table names this file

    given = dict(options.text_options)
    if options.text == "judge" and given.setdefault("mode", "absolute") != "absolute":
        raise ConfigError(
            "scorer turn: a judge of texts grades one answer at a time",
            hint='text_options = { mode = "absolute", … }; or leave mode out',
        )
    return make(options.text, given)


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
