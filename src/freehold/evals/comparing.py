"""Two models' results on the same samples, compared: what `stats` needs is laid out here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from freehold import __version__
from freehold.errors import UsageError
from freehold.evals.slicing import question, slice_values
from freehold.stats.compare import Background, compare_scores
from freehold.stats.judges import JudgeEvidence
from freehold.stats.rules import Rule
from freehold.types.dataset import Sample
from freehold.types.evaluated import Disagreement
from freehold.types.evaluation import Comparison, EvalResult, Task
from freehold.types.record import content_id


class Scale(NamedTuple):
    """The range of a score."""

    lo: float = 0.0
    hi: float = 1.0


UNIT = Scale()


def compare(
    samples: Sequence[Sample],
    incumbent: Sequence[EvalResult],
    candidate: Sequence[EvalResult],
    task: Task,
    *,
    incumbent_name: str,
    candidate_name: str,
    made_from: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    scale: Scale = UNIT,
    self_noise: float | None = None,
    judge: JudgeEvidence | None = None,
    looks: int = 1,
) -> Comparison:
    """Compare results that are in the order of `samples`, clustered by the samples' groups, in declared slices.

    Raises `UsageError` when the results are not those of the samples, `ConfigError` for an unknown slice.
    """
    for name, results in (("incumbent", incumbent), ("candidate", candidate)):
        if [one.sample_id for one in results] != [one.id for one in samples]:
            raise UsageError(f"the {name}'s results are not in the samples' order")
    groups = [sample.group for sample in samples]
    paired = compare_scores(
        [f"{sample.id}#{place}" for place, sample in enumerate(samples)],
        [one.score.value for one in incumbent],
        [one.score.value for one in candidate],
        Rule(margin=task.margin, alpha=task.alpha, lo=scale.lo, hi=scale.hi),
        clusters=groups if any(group is not None for group in groups) else None,
        slices={name: slice_values(name, samples) for name in task.slices},
        background=Background(self_noise=self_noise, judge=judge, looks=looks),
    )
    return Comparison.of(
        paired,
        id=content_id([made_from, task, incumbent, candidate, looks]),
        task=task.name,
        incumbent=incumbent_name,
        candidate=candidate_name,
        made_from=made_from,
        version=__version__,
        notes=(*notes, *_fault_notes(incumbent, candidate)),
        incumbent_format_failures=sum(not one.score.format_ok for one in incumbent),
        candidate_format_failures=sum(not one.score.format_ok for one in candidate),
    )


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


def format_failures(results: Sequence[EvalResult]) -> Counter[str]:
    """How often each kind of wrong form occurred."""
    return Counter(code(one.score.reason) for one in results if not one.score.format_ok)


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
                ),
            )
        )
    found.sort(key=lambda item: item[0])
    return tuple(item for _, item in found[:limit])
