"""Two models' results on the same samples, compared: what `stats` needs is laid out here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from freehold import __version__
from freehold.errors import UsageError
from freehold.evals.slicing import question, slice_values
from freehold.stats.compare import ScoreContext, compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.dataset import Sample
from freehold.types.evaluated import Disagreement
from freehold.types.evaluation import Comparison, EvalResult, Task
from freehold.types.identity import answer_id, words
from freehold.types.record import content_id
from freehold.types.wording import Wordings, connected
from freehold.verdict.reasons import noted


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
