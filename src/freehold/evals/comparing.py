"""Two models' results on the same samples, compared: what `stats` needs is laid out here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from freehold import __version__
from freehold.errors import ConfigError, UsageError
from freehold.evals.text import NotJson, parse_json
from freehold.stats.compare import ScoreContext, compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.dataset import Sample
from freehold.types.evaluated import Disagreement, LatencySummary, Regressions
from freehold.types.evaluation import Comparison, EvalResult, Task
from freehold.types.identity import Wordings, answer_id, connected, words
from freehold.types.record import content_id
from freehold.verdict.reasons import noted

_LONGEST_LABEL = 60


def slice_values(name: str, samples: Sequence[Sample]) -> list[str | None]:
    """The value of one declared slice for each sample, None where a sample is in none.

    ``label``: the right answer, where it is short. ``gold.PATH``: a field of a JSON answer. ``length``: the
    question's length in characters, in thirds (``short``, ``medium``, ``long``). Anything else: a field of
    the sample's metadata (language, user …). Raises `ConfigError` when no sample has it.
    """
    if name == "length":
        return _lengths(samples)
    if name == "label":
        values = [_short(sample.gold) for sample in samples]
    elif name.startswith("gold."):
        values = [_field(sample.gold, name.removeprefix("gold.")) for sample in samples]
    else:
        values = [_text(sample.metadata.get(name)) for sample in samples]
    if samples and all(value is None for value in values):
        known = sorted({key for sample in samples for key in sample.metadata})
        raise ConfigError(
            f"slice {name}: no held-out sample has it",
            hint=f"known: {', '.join([*known, 'label', 'length', 'gold.FIELD'])}",
        )
    return values


def question(sample: Sample) -> str:
    """What was asked last, as text."""
    for message in reversed(sample.messages):
        if message.role == "user":
            return _text_of(message.content)
    return _text_of(sample.messages[-1].content) if sample.messages else ""


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _lengths(samples: Sequence[Sample]) -> list[str | None]:
    lengths = [len(question(sample)) for sample in samples]
    order = sorted(lengths)
    if not order:
        return []
    if order[0] == order[-1]:
        return [None] * len(order)  # all alike: there is nothing to slice by
    low, high = order[len(order) // 3], order[2 * len(order) // 3]
    return [
        f"short (under {low} characters)"
        if length < low
        else f"medium ({low} to {high - 1})"
        if length < high
        else f"long (from {high})"
        for length in lengths
    ]


def _short(gold: str | None) -> str | None:
    return gold.strip() if gold is not None and 0 < len(gold.strip()) <= _LONGEST_LABEL else None


def _field(gold: str | None, path: str) -> str | None:
    if gold is None:
        return None
    try:
        value = parse_json(gold)
    except NotJson:
        return None
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return "null" if value is None else _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) and str(value) else None


def summarize(
    results: Sequence[EvalResult], *, concurrency: int, wall_seconds: float | None = None
) -> LatencySummary:
    """Quantiles over the answers that came. Give `wall_seconds` only where all of them were asked in that time."""
    timed = [one for one in results if one.total_ms is not None]
    return LatencySummary(
        n=len(timed),
        concurrency=concurrency,
        ttft_p50_ms=quantile([one.ttft_ms for one in timed], 0.5),
        ttft_p95_ms=quantile([one.ttft_ms for one in timed], 0.95),
        total_p50_ms=quantile([one.total_ms for one in timed], 0.5),
        total_p95_ms=quantile([one.total_ms for one in timed], 0.95),
        prompt_tokens=_total([one.usage.prompt_tokens if one.usage else None for one in timed]),
        completion_tokens=_total([one.usage.completion_tokens if one.usage else None for one in timed]),
        wall_seconds=wall_seconds,
    )


def quantile(values: Sequence[float | None], share: float) -> float | None:
    """The smallest value that at least `share` of the values don't exceed (inverse of the distribution)."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return known[max(0, math.ceil(share * len(known)) - 1)]


def _total(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


class Units(NamedTuple):
    """Each item's independent unit, and whether it is a declared one; None where every item is its own."""

    names: list[str] | None
    declared: list[bool] | None


class SideBySide(NamedTuple):
    """Two models' results on the same samples, all columns in the samples' order.

    `references` are the right answers, None where there is none; `units` is known where the same samples are compared
    more than once (`units_of`).
    """

    samples: Sequence[Sample]
    references: Sequence[str | None]
    incumbent: Sequence[EvalResult]
    candidate: Sequence[EvalResult]
    incumbent_name: str
    candidate_name: str
    units: Units | None = None


class Scale(NamedTuple):
    """The range of a score."""

    lo: float = 0.0
    hi: float = 1.0


UNIT = Scale()
_NOTHING_KNOWN = ScoreContext()


def compare(
    results: SideBySide,
    task: Task,
    *,
    made_from: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    scale: Scale = UNIT,
    context: ScoreContext = _NOTHING_KNOWN,
    slices: Mapping[str, Sequence[str | None]] | None = None,
) -> Comparison:
    """Compare two models' scores, clustered by the samples' groups, in the task's declared slices and in `slices`, a
    value for each sample.

    Raises `UsageError` when the results are not those of the samples, `ConfigError` for an unknown slice.
    """
    samples, incumbent, candidate = results.samples, results.incumbent, results.candidate
    for name, column in (("incumbent", incumbent), ("candidate", candidate)):
        if [one.sample_id for one in column] != [one.id for one in samples]:
            raise UsageError(f"the {name}'s results are not in the samples' order")
    units = results.units or units_of(results)
    own = slices or {}
    declared = {name: slice_values(name, samples) for name in task.slices if name not in own}
    paired = compare_scores(
        [f"{sample.id}#{place}" for place, sample in enumerate(samples)],
        [one.score.value for one in incumbent],
        [one.score.value for one in candidate],
        DecisionRule(margin=task.margin, alpha=task.alpha, lo=scale.lo, hi=scale.hi),
        clusters=units.names,
        capped=units.declared,
        slices={**declared, **own},
        context=context,
    )
    return Comparison.of(
        noted(paired),
        id=content_id([made_from, task, incumbent, candidate, context.looks]),
        task=task.name,
        incumbent=results.incumbent_name,
        candidate=results.candidate_name,
        made_from=made_from,
        version=__version__,
        notes=(*notes, *_fault_notes(incumbent, candidate)),
        incumbent_format_failures=sum(not one.score.format_ok for one in incumbent),
        candidate_format_failures=sum(not one.score.format_ok for one in candidate),
    )


def units_of(results: SideBySide) -> Units:
    """The independent units of these samples.

    The same question again, or one that differs from it in a garbled, missing or added word (`Wordings`), with the same
    right answer adds no evidence: it keeps its weight in the mean, and counts as one unit. Items of a declared group
    are of that group's.
    """
    samples = results.samples
    asked = [words(sample) if question(sample) else [] for sample in samples]
    answers = [answer_id(reference) for reference in results.references]
    known = Wordings(asked, within=True)
    same = connected(
        (
            (row, other)
            for row, text in enumerate(asked)
            for other in known.near(text)
            if answers[other] == answers[row]
        ),
        len(samples),
    )
    often = Counter(same)
    declared = [sample.group is not None for sample in samples]
    if not any(declared) and len(often) == len(samples):
        return Units(None, None)
    names = [
        f"group:{sample.group}"
        if sample.group is not None
        else f"item:{first}"
        if often[first] > 1
        else f"row:{row}"
        for row, (sample, first) in enumerate(zip(samples, same, strict=True))
    ]
    return Units(names, declared)


def _fault_notes(incumbent: Sequence[EvalResult], candidate: Sequence[EvalResult]) -> list[str]:
    notes = []
    for name, results in (("incumbent", incumbent), ("candidate", candidate)):
        unscored = Counter(code(one.score.reason) for one in results if one.score.value is None)
        faults = Counter(code(one.error) for one in results if one.score.value is not None and one.error)
        if unscored:
            notes.append(f"{name} unscored: {counted(unscored)}.")
        if faults:
            notes.append(f"{name} scored lowest for its own faults: {counted(faults)}.")
    return notes


def code(reason: str | None) -> str:
    """The stable code a reason starts with."""
    return (reason or "unknown").partition(":")[0]


def counted(counts: Counter[str]) -> str:
    """``12 http_500, 3 timeout``, the most frequent first."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def disagreements(
    samples: Sequence[Sample],
    incumbent: Sequence[EvalResult],
    candidate: Sequence[EvalResult],
    references: Sequence[str | None],
    *,
    limit: int | None = None,
) -> tuple[Disagreement, ...]:
    """The samples the two models did not score alike on, the candidate's largest losses first."""
    found = []
    for sample, one, other, reference in zip(samples, incumbent, candidate, references, strict=True):
        if one.score.value == other.score.value:
            continue
        gap = (
            other.score.value - one.score.value
            if one.score.value is not None and other.score.value is not None
            else 0.0
        )
        found.append(
            (
                gap,
                Disagreement(
                    sample_id=sample.id,
                    question=question(sample),
                    reference=reference,
                    incumbent_answer=one.output,
                    candidate_answer=other.output,
                    incumbent_score=one.score.value,
                    candidate_score=other.score.value,
                    parts=other.score.parts,
                    incumbent_reason=one.score.reason,
                    candidate_reason=other.score.reason,
                ),
            )
        )
    found.sort(key=lambda item: item[0])
    return tuple(item for _, item in found[:limit])


MOST_CONFUSIONS, LONGEST_LABEL = 12, 40


def regressions(results: SideBySide) -> Regressions:
    """Count the pairs in which both answers were scored."""
    scored = lost = won = 0
    causes: Counter[str] = Counter()
    fields: dict[str, list[int]] = {}
    confusions: Counter[tuple[str, str]] = Counter()
    for reference, incumbent, candidate in zip(
        results.references, results.incumbent, results.candidate, strict=True
    ):
        one, other = incumbent.score.value, candidate.score.value
        if one is None or other is None:
            continue
        scored += 1
        won += other > one
        for side, result in enumerate((candidate, incumbent)):
            for name, value in result.score.parts.items():
                fields.setdefault(name, [0, 0])[side] += value < 1
        if other >= one:
            continue
        lost += 1
        causes[_cause(candidate)] += 1
        answer = candidate.output
        if reference is not None and answer is not None and not candidate.score.parts:
            pair = reference.strip(), answer.strip()
            if max(map(len, pair)) <= LONGEST_LABEL and "\n" not in "".join(pair):
                confusions[pair] += 1
    return Regressions(
        scored=scored,
        lost=lost,
        won=won,
        by_cause=dict(causes.most_common()),
        by_field={name: (counts[0], counts[1]) for name, counts in fields.items()},
        confusions=tuple((*pair, count) for pair, count in confusions.most_common(MOST_CONFUSIONS)),
    )


def _cause(candidate: EvalResult) -> str:
    if candidate.error is not None or candidate.output is None:
        return "no answer"
    if not candidate.output.strip():
        return "an empty answer"
    if not candidate.score.format_ok:
        return "an answer in the wrong form"
    wrong = [name for name, value in candidate.score.parts.items() if value < 1]
    if len(wrong) == 1:
        return "one field wrong"
    if wrong:
        return "several fields wrong"
    return "a wrong answer" if candidate.score.value == 0 else "a worse answer"
