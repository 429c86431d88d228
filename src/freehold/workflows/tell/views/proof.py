"""The screen Proof: intervals, mixtures, slices, and the items of one evaluation a page at a time, worst first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from freehold.evals.comparing import question
from freehold.stats.exact import z_quantile
from freehold.store import Store
from freehold.types.evaluated import Evaluation, EvaluationLine, ItemLook, ItemResult
from freehold.types.evaluation import Comparison, EvalResult, VerdictOutcome
from freehold.types.journey import OtherWay, VerdictFacts
from freehold.types.mixture import Mixture
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.types.verdict import Verdict
from freehold.verdict.reasons import REASONS
from freehold.workflows.project import Project
from freehold.workflows.project_store import meant
from freehold.workflows.tell.after_verdict import after_verdict
from freehold.workflows.tell.project_facts import verdict_facts
from freehold.workflows.tell.views.proof_items import (
    AnswerDifference,
    ClippedText,
    ItemFilter,
    ItemIndex,
    causes_of,
    clipped,
    difference,
    item_index,
)
from freehold.workflows.tell.views.query import Place, ScreenQuery

IntervalKind = Literal["proof", "mixture", "selection"]


class CandidateInterval(Record, frozen=True, kw_only=True):
    """One candidate's difference to the incumbent, on the score's scale. `kind` says on what it rests: held-out samples
    (a proof, of the candidate or of its mixture) or the selection split, which chooses and proves nothing."""

    label: str
    kind: IntervalKind
    low: float
    middle: float
    high: float
    n: int | None = None
    verdict: VerdictOutcome | None = None
    record_kind: str
    record_id: str
    evaluation_id: str | None = None


class CloneRange(Record, frozen=True, kw_only=True):
    """Where a perfect copy of the incumbent would be found `level` of the time, its own noise being all that differs.

    `self_noise` is the share of items on which two runs of the incumbent score differently.
    """

    low: float
    high: float
    level: float
    self_noise: float
    n: int


class ShownMixture(Record, frozen=True, kw_only=True):
    """A mixture, with the curve of the signal that was chosen alone, and what came out in words."""

    mixture: Mixture
    sentence: str


def clone_range(comparison: Comparison) -> CloneRange | None:
    """The incumbent's own noise on the axis of differences; None where it was not measured.

    Of a copy each pair differs with probability psi, up as often as down, so the mean difference of n pairs has
    variance psi / n (Tango 1998, with equal discordant cells); the normal range at the comparison's level.
    """
    noise, n = comparison.self_noise, comparison.n
    if noise is None or n < 1:
        return None
    half = z_quantile(comparison.alpha) * math.sqrt(max(0.0, noise) / n)
    return CloneRange(low=-half, high=half, level=1 - 2 * comparison.alpha, self_noise=noise, n=n)


def intervals(report: Report | None, evaluations: Sequence[Evaluation]) -> tuple[CandidateInterval, ...]:
    """All candidates: proofs of the report and of evaluations made by hand, newest first, then the selection split."""
    by_comparison = {
        one.comparison.id: one.id for one in evaluations if one.comparison is not None
    }  # a report knows its comparisons, not their evaluations
    candidates = () if report is None else report.candidates
    rows: list[CandidateInterval] = []
    seen: set[str] = set()
    for one in candidates:
        if one.comparison is not None:
            seen.add(one.comparison.id)
            rows += _proof(one.label, "proof", one.comparison, by_comparison.get(one.comparison.id))
        # Where the candidate was proven alone after its mixtures, that is what is compared: one row.
        if one.mixture is not None and one.mixture.comparison is not None and one.mixture.rule is not None:
            rows += _proof(
                f"{one.label}, with fallback", "mixture", one.mixture.comparison, None, one.mixture
            )
    for made in reversed(evaluations):
        if made.comparison is not None and made.comparison.id not in seen:
            seen.add(made.comparison.id)
            rows += _proof(made.candidate, "proof", made.comparison, made.id)
    if report is not None:
        rows += _selection(report)
    return tuple(rows)


def _selection(report: Report) -> list[CandidateInterval]:
    rows = []
    for one in report.candidates:
        found = one.selection
        if found is None or found.difference is None or found.ci_low is None or found.ci_high is None:
            continue
        rows.append(
            CandidateInterval(
                label=one.label,
                kind="selection",
                low=found.ci_low,
                middle=found.difference,
                high=found.ci_high,
                n=found.n,
                record_kind="report",
                record_id=report.id,
            )
        )
    return rows


def _proof(
    label: str,
    kind: IntervalKind,
    found: Comparison,
    evaluation_id: str | None,
    mixture: Mixture | None = None,
) -> list[CandidateInterval]:
    low, middle, high = found.ci_low, found.difference, found.ci_high
    if low is None or middle is None or high is None:
        return []
    return [
        CandidateInterval(
            label=label,
            kind=kind,
            low=low,
            middle=middle,
            high=high,
            n=found.n,
            verdict=found.verdict if mixture is None else mixture.outcome,
            record_kind="comparison" if mixture is None else "mixture",
            record_id=found.id if mixture is None else mixture.id,
            evaluation_id=evaluation_id,
        )
    ]


def shown_mixtures(kept: Sequence[Mixture]) -> tuple[ShownMixture, ...]:
    """Those of which something was measured, the newest first."""
    return tuple(
        ShownMixture(mixture=msgspec.structs.replace(one, curves=(one.curve,), best=0), sentence=one.sentence)
        for one in reversed(kept)
        if one.curve is not None
    )


NO_INCUMBENT = "There are no answers of an incumbent to compare with, so nothing is said about leaving it."


MAY_MOVE = OtherWay(sentence="Nothing: traffic may begin to move.", command="freehold rollout start")


def ways_out(store: Store, made: Evaluation, verdict: Verdict | None = None) -> tuple[OtherWay, ...]:
    """What would change what an evaluation says, what decides first, as `freehold status` says it. `verdict` is the
    joined one that rests on it: what holds besides the comparison (licence, memory, checks) is among its reasons."""
    found = made.comparison
    if found is None:
        return (OtherWay(sentence=NO_INCUMBENT, command="freehold freeze"),)
    if (found.verdict if verdict is None else verdict.outcome) == "promote":
        return (MAY_MOVE,)
    if verdict is not None:
        facts = verdict_facts(store, verdict)
    else:
        facts = VerdictFacts(
            id=found.id,
            outcome=found.verdict,
            candidate=made.candidate,
            model=made.candidate,
            fallback=None,
            codes=found.reasons,
            texts=tuple(REASONS.get(code, code) for code in found.reasons),
            conditions=0,
            n=found.n,
            needed_n=found.needed_n,
        )
    way = after_verdict(facts)
    return (OtherWay(sentence=way.sentence, command=way.command), *way.others)


MOST_CAUSES = 30
FIRST_COMMAND = "freehold migrate"


class ProofQuery(ScreenQuery, frozen=True, kw_only=True):
    """What of it is asked for: an evaluation by the beginning of its id (None: the latest), and which of its items.
    `after` is the rank of the last item that was seen."""

    evaluation: Annotated[str, Meta(max_length=64)] | None = None
    show: ItemFilter = "worse"
    slice: Annotated[str, Meta(max_length=500)] | None = None
    cause: Annotated[str, Meta(max_length=500)] | None = None
    after: Place | None = None


class ItemAnswer(Record, frozen=True, kw_only=True):
    """One model's answer to an item."""

    output: ClippedText | None
    score: float | None
    reason: str | None
    error: str | None
    total_ms: float | None


class ShownItem(Record, frozen=True, kw_only=True):
    """An item with both answers and what differs. `rank` is its place, the largest loss first."""

    rank: int
    sample_id: str
    question: ClippedText
    reference: ClippedText | None
    incumbent: ItemAnswer
    candidate: ItemAnswer
    difference: AnswerDifference
    causes: tuple[str, ...]


class ItemsShown(Record, frozen=True, kw_only=True):
    """A page of items. `matching` is how many the filters leave, `next_after` asks for the page behind it."""

    items: tuple[ShownItem, ...]
    matching: int
    next_after: int | None
    changes: dict[str, int]
    different: int
    causes: tuple[tuple[str, int], ...]
    worse_by_slice: dict[str, int]


class ProofDetail(Record, frozen=True, kw_only=True):
    """One evaluation. `items` is None where its file cannot be shown; `items_missing` then says why."""

    evaluation_id: str
    candidate: str
    incumbent: str
    scorer: str
    margin: float
    at: datetime | None
    comparison: Comparison | None
    score: float | None
    score_low: float | None
    score_high: float | None
    verdict: Verdict | None
    reasons: tuple[str, ...]
    """Why the comparison says what it says, in words, what decides first."""
    clone: CloneRange | None
    ways_out: tuple[OtherWay, ...]
    items: ItemsShown | None
    items_missing: str | None
    labels_command: str


class ProofScreen(Record, frozen=True, kw_only=True):
    """The whole screen. Without an evaluation `detail` is None, and `first_command` is what to do first."""

    app: str
    at: datetime
    command: str
    evaluations: tuple[EvaluationLine, ...]
    intervals: tuple[CandidateInterval, ...]
    mixtures: tuple[ShownMixture, ...]
    detail: ProofDetail | None
    first_command: str = FIRST_COMMAND


def proof(project: Project, store: Store, query: ProofQuery, *, at: datetime) -> ProofScreen:
    """What there is to see. Raises `UsageError` for an evaluation that is not there."""
    made = store.records(Evaluation)
    looks = {look.id: look.at for look in store.records(ItemLook)}
    chosen = meant(made, query.evaluation, "evaluation", hint="freehold report --evaluations lists them")
    report = store.latest(Report)
    return ProofScreen(
        app=project.config.app.name,
        at=at,
        command="freehold report --evaluations" if chosen is not None else FIRST_COMMAND,
        evaluations=tuple(EvaluationLine.of(one, looks.get(one.id)) for one in reversed(made)),
        intervals=intervals(report, made),
        mixtures=shown_mixtures(store.records(Mixture)),
        detail=None if chosen is None else _detail(store, chosen, query, looks.get(chosen.id)),
    )


def _detail(store: Store, made: Evaluation, query: ProofQuery, at: datetime | None) -> ProofDetail:
    comparison = made.comparison
    verdict = None
    if comparison is not None:
        resting = [one for one in store.records(Verdict) if comparison.id in one.made_from]
        verdict = resting[-1] if resting else None
    items, missing = None, None
    if made.results_file is None or not Path(made.results_file).is_file():
        missing = "Its answers are not here any more: freehold evaluate asks again."
    else:
        items = _items(item_index(Path(made.results_file), made.task.slices), query)
    return ProofDetail(
        evaluation_id=made.id,
        candidate=made.candidate,
        incumbent=made.incumbent,
        scorer=made.task.scorer,
        margin=made.task.margin,
        at=at,
        comparison=comparison,
        score=made.measured.mean,
        score_low=made.measured.ci_low,
        score_high=made.measured.ci_high,
        verdict=verdict,
        reasons=tuple(
            REASONS.get(code, code) for code in (comparison.reasons if comparison is not None else ())
        ),
        clone=None if comparison is None else clone_range(comparison),
        ways_out=ways_out(store, made, verdict),
        items=items,
        items_missing=missing,
        labels_command=f"freehold label --evaluation {made.id[:12]}",
    )


def _items(index: ItemIndex, query: ProofQuery) -> ItemsShown:
    page = index.page(show=query.show, slice_name=query.slice, cause=query.cause, after=query.after)
    counts = index.counts()
    return ItemsShown(
        items=tuple(shown_item(rank, item) for rank, item in zip(page.ranks, page.items, strict=True)),
        matching=page.matching,
        next_after=page.next_rank,
        changes=counts.changes,
        different=counts.different,
        causes=counts.causes[:MOST_CAUSES],
        worse_by_slice=counts.worse_by_slice,
    )


def shown_item(rank: int, item: ItemResult) -> ShownItem:
    """An item as it is shown: texts are cut where they are long, and only these are compared."""
    one, other = item.incumbent.score.value, item.candidate.score.value
    return ShownItem(
        rank=rank,
        sample_id=item.sample.id,
        question=clipped(question(item.sample)),
        reference=clipped(item.reference),
        incumbent=_answer(item.incumbent),
        candidate=_answer(item.candidate),
        difference=difference(item.incumbent.output, item.candidate.output, item.reference),
        causes=causes_of(item) if one is not None and other is not None and other < one else (),
    )


def _answer(result: EvalResult) -> ItemAnswer:
    return ItemAnswer(
        output=clipped(result.output),
        score=result.score.value,
        reason=result.score.reason,
        error=result.error,
        total_ms=result.total_ms,
    )
