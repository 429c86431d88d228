"""The screen Proof: intervals, mixtures, slices, and the items of one evaluation a page at a time, worst first."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from freehold.errors import UsageError
from freehold.evals.comparing import question
from freehold.store import Store
from freehold.types.evaluated import Evaluation, EvaluationLine, ItemLook, ItemNote, ItemResult
from freehold.types.evaluation import Comparison, EvalResult
from freehold.types.mixture import Mixture
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.types.verdict import Reason, Verdict
from freehold.verdict.reasons import REASONS
from freehold.workflows.project import Project
from freehold.workflows.prove.notes import notes_of
from freehold.workflows.tell.views.proof.answers import AnswerDifference, ClippedText, clipped, difference
from freehold.workflows.tell.views.proof.items import ItemFilter, ItemIndex, causes_of, item_index
from freehold.workflows.tell.views.proof.picture import (
    CandidateInterval,
    CloneRange,
    ShownMixture,
    clone_range,
    intervals,
    shown_mixtures,
)
from freehold.workflows.tell.views.query import Place, ScreenQuery

NO_INCUMBENT = "There are no answers of an incumbent to compare with, so nothing is said about leaving it."


class WayOut(Record, frozen=True, kw_only=True):
    """Something that would change the verdict, or that is allowed by it, and the command for it."""

    text: str
    command: str


MAY_MOVE = WayOut(text="Nothing: traffic may begin to move.", command="freehold rollout start")


def ways_out(made: Evaluation, verdict: Verdict | None = None) -> tuple[WayOut, ...]:
    """What would change what an evaluation says, what decides first. `verdict` is the joined one that rests on it: what
    holds besides the comparison (licence, memory, checks) is told by its reasons."""
    comparison = made.comparison
    if comparison is None:
        return (WayOut(text=NO_INCUMBENT, command="freehold freeze"),)
    blocking = [
        _by_reason(reason, made)
        for reason in (verdict.reasons if verdict is not None else ())
        if reason.effect in ("hold", "reject") and reason.record_id != comparison.id
    ]
    if verdict is not None and verdict.outcome == "promote":
        return (MAY_MOVE,)
    return (*blocking, *_by_comparison(comparison, bool(blocking)))


def _by_reason(reason: Reason, made: Evaluation) -> WayOut:
    model = shlex.quote(made.candidate)
    commands = {"license": f"freehold license {model}", "does": f"freehold fit {model}"}
    return WayOut(text=reason.text, command=commands.get(reason.code.partition("_")[0], "freehold report"))


def _by_comparison(found: Comparison, blocked: bool) -> Iterator[WayOut]:
    if found.verdict == "promote":
        if not blocked:
            yield MAY_MOVE
        return
    if found.look is not None and not found.look.may_promote and not found.look.informs:
        yield WayOut(
            text="Items that no evaluation has looked at: on these the error that was planned for is spent.",
            command="freehold import NEW.jsonl --held-out",
        )
    if found.verdict == "hold" and found.needed_n is not None and found.needed_n > found.n:
        yield WayOut(
            text=f"About {found.needed_n:,} held-out items, if they come out like these {found.n:,}.",
            command=f"freehold power --margin {found.margin:g}",
        )
    for part in found.slices:
        if part.harmed:
            yield WayOut(
                text=f"Answers in the slice {part.name}: it is harmed, however good the mean is.",
                command="freehold dataset check",
            )
    yield WayOut(
        text="A mixture: the candidate answers what it is sure of, the incumbent the rest.",
        command="freehold defer plan",
    )
    yield WayOut(
        text="More training samples: the curve says what twice of them bring.",
        command="freehold train --curve",
    )
    if found.verdict == "reject":
        yield WayOut(text="Another model of the shortlist.", command="freehold assess")


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
    notes: tuple[ItemNote, ...]


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
    ways_out: tuple[WayOut, ...]
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
    chosen = _chosen(made, query.evaluation)
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


def _chosen(made: list[Evaluation], wanted: str | None) -> Evaluation | None:
    if wanted is None:
        return made[-1] if made else None
    found = [one for one in made if one.id.startswith(wanted)]
    if len(found) != 1:
        raise UsageError(
            f"{len(found) or 'no'} evaluations have an id that begins with {wanted[:32]}",
            hint="freehold report --evaluations lists them" if made else "freehold evaluate makes one",
        )
    return found[0]


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
        items = _items(store, made, item_index(Path(made.results_file), made.task.slices), query)
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
        ways_out=ways_out(made, verdict),
        items=items,
        items_missing=missing,
        labels_command=f"freehold label --evaluation {made.id[:12]}",
    )


def _items(store: Store, made: Evaluation, index: ItemIndex, query: ProofQuery) -> ItemsShown:
    page = index.page(show=query.show, slice_name=query.slice, cause=query.cause, after=query.after)
    counts, notes = index.counts(), notes_of(store, made.id)
    return ItemsShown(
        items=tuple(
            shown_item(rank, item, notes.get(item.sample.id, ()))
            for rank, item in zip(page.ranks, page.items, strict=True)
        ),
        matching=page.matching,
        next_after=page.next_rank,
        changes=counts.changes,
        different=counts.different,
        causes=counts.causes[:MOST_CAUSES],
        worse_by_slice=counts.worse_by_slice,
    )


def shown_item(rank: int, item: ItemResult, notes: tuple[ItemNote, ...] = ()) -> ShownItem:
    """An item as it is shown: texts are cut where they are long, and only these are compared."""
    asked = clipped(question(item.sample))
    assert asked is not None
    one, other = item.incumbent.score.value, item.candidate.score.value
    return ShownItem(
        rank=rank,
        sample_id=item.sample.id,
        question=asked,
        reference=clipped(item.reference),
        incumbent=_answer(item.incumbent),
        candidate=_answer(item.candidate),
        difference=difference(item.incumbent.output, item.candidate.output, item.reference),
        causes=causes_of(item) if one is not None and other is not None and other < one else (),
        notes=notes,
    )


def _answer(result: EvalResult) -> ItemAnswer:
    return ItemAnswer(
        output=clipped(result.output),
        score=result.score.value,
        reason=result.score.reason,
        error=result.error,
        total_ms=result.total_ms,
    )
