"""Pairs of answers compared by a judge, and the human labels it is corrected by.

A label, as `freehold label` or another tool writes it, is about two answers. Those that `freehold label` writes say
which, so that they do not correct a judge of other answers: another candidate's, or the same one's after it was
trained again.

A pair scores +1 (candidate), -1 (incumbent) or 0; +1 and -1 only where both orders agree. The difference then lies in
[-1, 1], and a margin is stated on that scale: two points of win rate are 0.04.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from freehold.errors import InputError
from freehold.evals.comparing import SideBySide, question
from freehold.evals.judging import Judge, PairJudgement, family, same_answer, same_family, told_answer
from freehold.evals.text import collapsed
from freehold.late import np
from freehold.rows.reading import records
from freehold.stats.clustered import encode_clusters
from freehold.stats.judges import (
    MIN_HUMAN_LABELS,
    JudgeEvidence,
    Ppi,
    length_controlled,
    order_swap,
    ppi_mean,
)
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, Score
from freehold.types.record import content_id

HASTY_SECONDS = 1.0
"""Two answers can't be read in less."""

_KEY_DIGITS = 16
_WINNERS = {"candidate": 1.0, "incumbent": -1.0, "tie": 0.0, "equal": 0.0}


def read_labels(path: Path) -> dict[str, float]:
    """Labels by sample id: +1 candidate better, -1 incumbent better, 0 equal; the last label of an id counts.

    A line is ``{"id", "winner": "candidate" | "incumbent" | "tie"}`` or ``{"id", "candidate": 4, "incumbent": 5}`` with
    grades of both. Skipped ones (``"winner": null``) are left out. Raises `InputError` with the line.
    """
    labels: dict[str, float] = {}
    for number, value in _lines(path):
        label = _winner(value)
        if label is not None:
            labels[str(value["id"])] = label
        elif value.get("winner", "") is None:
            labels.pop(str(value["id"]), None)
        else:
            raise InputError(
                f"winner is {value.get('winner')!r}",
                path=str(path),
                line=number,
                hint=f"one of {', '.join(_WINNERS)}",
            )
    return labels


def read_differences(path: Path, reach: float) -> dict[str, float]:
    """Candidate minus incumbent by sample id, as a share of the scale's `reach`, from lines that grade both.

    Lines that only name a winner are left out: they don't say by how much.
    """
    differences: dict[str, float] = {}
    for _, value in _lines(path):
        grades = _grades(value)
        if grades is not None:
            differences[str(value["id"])] = (grades[0] - grades[1]) / reach
    return differences


def answers_key(candidate: str | None, incumbent: str | None) -> str:
    """What a label says of which two answers it is: a hash of both, without their white space."""
    return content_id([collapsed(candidate or ""), collapsed(incumbent or "")])[:_KEY_DIGITS]


def labels_of_answers(
    path: Path, labels: Mapping[str, float], results: SideBySide
) -> tuple[dict[str, float], str]:
    """The labels that hold for these answers, and what a reader must know of the others; empty where nothing.

    Two equal answers are equally good, whatever a label says: in a mixture most are the incumbent's own. Where a label
    is of other answers none counts. Those that are left would be no random sample: they are of the pairs that have not
    changed.
    """
    about = {str(value["id"]): value.get("answers") for _, value in _lines(path)}
    kept: dict[str, float] = {}
    others = untold = 0
    for sample, one, other in zip(results.samples, results.incumbent, results.candidate, strict=True):
        if sample.id not in labels:
            continue
        if same_answer(one.output, other.output):
            kept[sample.id] = 0.0
            continue
        told = about[sample.id]
        untold += told is None
        others += told is not None and told != answers_key(other.output, one.output)
        kept[sample.id] = labels[sample.id]
    if others:
        return {}, (
            f"{others:,} of {len(kept):,} human labels are of other answers than these, of another candidate or of "
            f"one before it was changed, so none counts: freehold label --out {path} asks for these pairs again."
        )
    if untold:
        return (
            kept,
            f"{untold:,} human labels do not say which answers they are of: whether these is not known.",
        )
    return kept, ""


def typical_seconds(path: Path) -> float | None:
    """Median seconds that a label took, of those whose pair was shown; None where no time was kept."""
    took = {
        str(value["id"]): value["seconds"]
        for _, value in _lines(path)
        if isinstance(value.get("seconds"), int | float) and value.get("shown", True) is True
    }
    return statistics.median(took.values()) if took else None


def haste_note(path: Path) -> str:
    """What a reader of a calibration must know about how its labels were taken; empty where nothing."""
    median = typical_seconds(path)
    if median is None or median >= HASTY_SECONDS:
        return ""
    return (
        f"The human labels took {median:.1f} s each (median), too little to read two answers: the correction is "
        "worth no more than they are. Label again, or have it done by other people."
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, value in records(path, dict[str, Any], "a label"):
        if not isinstance(value.get("id"), str | int):
            raise InputError("no id", path=str(path), line=number, hint="freehold label writes one")
        yield number, value


def _winner(value: dict[str, Any]) -> float | None:
    if isinstance(value.get("winner"), str):
        return _WINNERS.get(value["winner"])
    grades = _grades(value)
    return None if grades is None else float((grades[0] > grades[1]) - (grades[0] < grades[1]))


def _grades(value: dict[str, Any]) -> tuple[float, float] | None:
    candidate, incumbent = value.get("candidate"), value.get("incumbent")
    if isinstance(candidate, int | float) and isinstance(incumbent, int | float):
        return float(candidate), float(incumbent)
    return None


_LEAST_LABELS = 5
_SAME = "same_answer"


class PairwiseResult(NamedTuple):
    """Scores of both sides (the incumbent's are 0), what is known about the judge, and what a reader must know."""

    incumbent: list[EvalResult]
    candidate: list[EvalResult]
    evidence: JudgeEvidence
    notes: tuple[str, ...]


async def judge_pairs(
    judge: Judge,
    results: SideBySide,
    *,
    margin: float,
    alpha: float = 0.025,
    human: Mapping[str, float] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PairwiseResult:
    """Judge every pair in both orders. `human` has human labels by sample id: +1 candidate, -1 incumbent, 0 equal.

    An answer missing through an infrastructure fault leaves the pair unscored; one that failed through a model's
    own fault loses without being judged.
    """
    judgements = await _judgements(judge, results, on_progress)
    judged = [
        (row, one)
        for row, one in enumerate(judgements)
        if isinstance(one, PairJudgement) and one.candidate_first and one.candidate_second
    ]
    swap = order_swap(
        [one.candidate_first for _, one in judged if one.candidate_first],
        [one.candidate_second for _, one in judged if one.candidate_second],
    )
    scores: list[Score] = [
        one if isinstance(one, Score) else Score(value=None, reason=one.reason) for one in judgements
    ]
    for (row, one), value in zip(judged, swap.scores, strict=True):
        contradicts = one.candidate_first != one.candidate_second
        scores[row] = Score(value=float(value), reason="order_decides" if contradicts else None)
    ratios = [
        _length_ratio(results.candidate[row].output, results.incumbent[row].output) for row, _ in judged
    ]
    checks_agree, length_note = _length_check(swap.scores, ratios, margin=margin, alpha=alpha)
    related = same_family(judge.options.model, results.incumbent_name)
    found, calibration = calibrated(results.samples, scores, human or {}, margin=margin, alpha=alpha)
    evidence = JudgeEvidence(
        human_labels=0 if found is None else found.labels,
        calibrated=found,
        consistency=swap.consistency,
        same_family=related,
        checks_agree=checks_agree,
    )
    notes = (
        _equal_note(scores),
        _told_note(results),
        _bias_note(swap.consistency, swap.first_position_share, swap.p_position, len(judged)),
        length_note,
        _family_note(judge.options.model, results.incumbent_name) if related else "",
        *calibration,
    )
    return PairwiseResult(
        incumbent=[
            _with(result, _mirror(score)) for result, score in zip(results.incumbent, scores, strict=True)
        ],
        candidate=[_with(result, score) for result, score in zip(results.candidate, scores, strict=True)],
        evidence=evidence,
        notes=tuple(note for note in notes if note),
    )


async def _judgements(
    judge: Judge, results: SideBySide, on_progress: Callable[[int, int], None] | None
) -> list[Score | PairJudgement]:
    """A judgement of every pair, or the score of one that needs none; at most `concurrency` pairs at a time."""
    limit = asyncio.Semaphore(judge.options.concurrency)
    columns = zip(results.samples, results.incumbent, results.candidate, strict=True)
    done = 0

    async def judged(sample: Sample, incumbent: EvalResult, candidate: EvalResult) -> Score | PairJudgement:
        nonlocal done
        judgement: Score | PairJudgement | None = _settled(incumbent, candidate)
        if judgement is None:
            async with limit:
                told = told_answer(sample, incumbent.output, candidate.output)
                judgement = await judge.compare(
                    question(sample), candidate.output or "", incumbent.output or "", told
                )
        done += 1
        if on_progress is not None:
            on_progress(done, len(results.samples))
        return judgement

    return list(await asyncio.gather(*(judged(*row) for row in columns)))


def _length_check(
    scores: Sequence[int], ratios: Sequence[float], *, margin: float, alpha: float
) -> tuple[bool, str]:
    """Whether the difference at equal length is on the same side of the margin as the one judged, and a note."""
    if len(scores) < 10 or len(set(ratios)) < 2:
        return True, ""
    length = length_controlled(np.array(scores, dtype=float), np.array(ratios), alpha=alpha)
    if length.estimate is None:
        return (
            True,
            "What the difference would be at equal length can't be told: hardly a pair comes near it.",
        )
    agree = (length.raw > -margin) == (length.estimate > -margin)
    return agree, (
        f"At equal length the difference is {length.estimate:+.3f} [{length.lower:+.3f}, {length.upper:+.3f}], "
        f"as judged {length.raw:+.3f}" + ("." if agree else ": they fall on different sides of the margin.")
    )


def _family_note(judge: str, incumbent: str) -> str:
    return (
        f"The judge {judge} is of the incumbent's own family ({family(incumbent)}) and may "
        "favour it: take a judge of a third family, or label pairs by hand (freehold label)."
    )


def _settled(incumbent: EvalResult, candidate: EvalResult) -> Score | None:
    """What needs no judge: an answer missing, a model's own fault, two equal answers."""
    for side, result in (("incumbent", incumbent), ("candidate", candidate)):
        if result.score.value is None and result.output is None:
            return Score(value=None, reason=f"{side} has no answer: {result.error or result.score.reason}")
    faults = [result.error is not None for result in (incumbent, candidate)]
    if faults[0] or faults[1]:
        return Score(
            value=float(faults[0] - faults[1]),
            reason=candidate.error or incumbent.error,
            format_ok=not faults[1],
        )
    if same_answer(incumbent.output, candidate.output):
        return Score(value=0.0, reason=_SAME)
    return None


def _mirror(score: Score) -> Score:
    return Score(value=None if score.value is None else 0.0, reason=score.reason)


def _with(result: EvalResult, score: Score) -> EvalResult:
    return EvalResult(
        sample_id=result.sample_id,
        model=result.model,
        output=result.output,
        score=score,
        ttft_ms=result.ttft_ms,
        total_ms=result.total_ms,
        usage=result.usage,
        error=result.error,
    )


def _length_ratio(candidate: str | None, incumbent: str | None) -> float:
    return math.log((len(candidate or "") + 1) / (len(incumbent or "") + 1))


def _equal_note(scores: Sequence[Score]) -> str:
    equal = sum(score.reason == _SAME for score in scores)
    return (
        f"{equal:,} of {len(scores):,} pairs are equal answers: ties, not shown to the judge."
        if equal
        else ""
    )


def _told_note(results: SideBySide) -> str:
    known = [
        told_answer(sample, one.output, other.output) is not None
        for sample, one, other in zip(results.samples, results.incumbent, results.candidate, strict=True)
        if sample.gold is not None and not same_answer(one.output, other.output)
    ]
    if all(known):
        return ""
    return (
        f"On {len(known) - sum(known):,} of {len(known):,} pairs with a right answer it is one of the two answers, "
        "and the judge was not told."
    )


def _bias_note(consistency: float | None, first: float | None, p: float, judged: int) -> str:
    if consistency is None or not judged:
        return ""
    share = (
        ""
        if first is None
        else f", the first answer wins {first:.1%} of decided calls (p = {p:.2g} against half)"
    )
    return f"Judge: {judged:,} pairs in both orders, the same verdict in {consistency:.1%}{share}."


def calibrated(
    samples: Sequence[Sample],
    scores: Sequence[Score],
    human: Mapping[str, float],
    *,
    margin: float,
    alpha: float,
) -> tuple[Ppi | None, list[str]]:
    """Prediction-powered difference from human labels and the judge's scores (statistics: PPI++), clustered by the
    samples' groups; None where labels are too few, and what a reader must know."""
    judged = [
        (sample, score.value)
        for sample, score in zip(samples, scores, strict=True)
        if score.value is not None
    ]
    labelled = [(sample, value) for sample, value in judged if sample.id in human]
    rest = [(sample, value) for sample, value in judged if sample.id not in human]
    if not human:
        return None, ["The judge is not calibrated: label about 100 pairs, at least 50, with freehold label."]
    if len(labelled) < _LEAST_LABELS or len(rest) < 2:
        return None, [f"{len(labelled)} human labels meet judged pairs: too few to calibrate the judge."]
    codes = None
    if any(sample.group is not None for sample, _ in judged):
        every = encode_clusters([sample.group or f"\0{sample.id}" for sample, _ in (*labelled, *rest)])
        codes = every[: len(labelled)], every[len(labelled) :]
    found = ppi_mean(
        [human[sample.id] for sample, _ in labelled],
        [value for _, value in labelled],
        [value for _, value in rest],
        alpha=alpha,
        codes=codes,
        margin=margin,
    )
    weight = f"weight of the judge {found.lam:.2f}"
    if len(labelled) >= MIN_HUMAN_LABELS:
        return found, [
            f"Calibrated with {len(labelled)} human labels, {weight}: the difference is corrected by them."
        ]
    return found, [
        f"The judge is not calibrated: {len(labelled)} human labels meet judged pairs, {MIN_HUMAN_LABELS} are needed. "
        f"Corrected by these the difference would be {found.estimate:+.3f} [{found.lower:+.3f}, {found.upper:+.3f}], "
        f"{weight}."
    ]
