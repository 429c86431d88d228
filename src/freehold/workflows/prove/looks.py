"""Which look at its items an evaluation is: kept in the store before the result is shown, counted over its story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import msgspec

from freehold.stats import looks
from freehold.stats.compare import ScoreContext
from freehold.stats.looks import ONE_LOOK, LookPlan
from freehold.store import Store, look_ledger
from freehold.types.dataset import Dataset, Sample
from freehold.types.evaluated import ItemLook, LookRemoval
from freehold.types.evaluation import Comparison, LookCount, Task
from freehold.types.finding import Finding, ok, warn
from freehold.types.identity import answer_id, looked_at, near_ids, trace_key, words
from freehold.types.record import content_id
from freehold.workflows.project import now

_SHOWN_ID = 12
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Looks:
    """The looks of a store, and how many were planned: those share alpha. Without a store nothing is known of others,
    and each is the first.

    `path` is the id of the sequence of mixtures that the look is planned for. The candidate alone is the last of them,
    so by itself it informs and cannot promote. Of several candidates that are looked at `together`, by the selection of
    that id, this one has a `part` of the look's alpha.
    """

    store: Store | None = None
    plan: LookPlan = ONE_LOOK
    path: str | None = None
    together: str | None = None
    part: float = 1.0

    def take(self, look: ItemLook) -> LookCount:
        """Keep a look and say which one it is. What was seen cannot be unseen: it counts from here on.

        `look.alpha` is what the task allows for all planned looks together; each gets its share. An evaluation that is
        made again keeps the share it had, and what it was planned for: another plan made after its result was seen
        gives it no more.
        """
        kept, found = self._keep(look)
        if kept.path is None:
            return found
        return msgspec.structs.replace(found, may_promote=False, informs=True)

    def take_mixture(self, look: ItemLook) -> LookCount:
        """The look at the mixtures of `path`. It is the evaluation's own (`look.id`) where that was planned for this
        sequence; otherwise it is one more."""
        kept = None if self.store is None else self.store.get(ItemLook, look.id)
        if kept is not None:
            look = msgspec.structs.replace(look, answers=kept.answers)
            if kept.path != self.path:
                look = msgspec.structs.replace(look, id=content_id([look.id, self.path]))
        return self._keep(look)[1]

    def period(self, samples: Sequence[Sample]) -> tuple[date, date] | None:
        """The first and last day on which they were asked; None where no time is known. A record of a file without a
        time has that of its import, which says nothing."""
        days: set[date] = set()
        ids = [one.trace_id for one in samples if one.trace_id is not None]
        while self.store is not None and ids:
            traces = self.store.get_traces(ids[-_AT_ONCE:]).values()
            del ids[-_AT_ONCE:]
            days |= {trace.at.date() for trace in traces if trace.at != trace.imported_at}
        return (min(days), max(days)) if days else None

    def _keep(self, look: ItemLook) -> tuple[ItemLook, LookCount]:
        allowed = look.alpha
        look = msgspec.structs.replace(look, path=self.path, together=self.together, part=self.part)
        gone = [] if self.store is None else self.store.records(LookRemoval)
        count = partial(
            looks.count, allowed=allowed, plan=self.plan, removed=b"".join(one.traces for one in gone)
        )
        if self.store is None:
            return look, count([], look)
        alpha = count(self.store.records(ItemLook), look).alpha
        self.store.put_once(msgspec.structs.replace(look, alpha=alpha, allowed=allowed))
        earlier = self.store.records(ItemLook)
        kept = next(one for one in earlier if one.id == look.id)
        look = msgspec.structs.replace(look, together=kept.together, part=min(look.part, kept.part))
        known = look_ledger.tell(kept, earlier, keep_for=self.store.database.where)
        return kept, msgspec.structs.replace(count(earlier, look), known=known)


def look_at(
    samples: Sequence[Sample],
    *,
    evaluation_id: str,
    dataset_id: str,
    names: tuple[str, str],
    alpha: float,
    items: Sequence[str] | None = None,
) -> ItemLook:
    """That `samples` were looked at now. `names` are the incumbent's and the candidate's, `alpha` is one-sided, `items`
    are the samples' ids where those do not follow from their questions."""
    items = [looked_at(sample) for sample in samples] if items is None else items
    near = near_ids(words(sample) for sample in samples)
    return ItemLook(
        id=evaluation_id,
        at=now(),
        dataset_id=dataset_id,
        incumbent=names[0],
        candidate=names[1],
        alpha=alpha,
        items=b"".join(bytes.fromhex(item) for item in items),
        golds=b"".join(answer_id(sample.gold) for sample in samples),
        near=b"".join(map(b"".join, near)),
        near_counts=b"".join(len(one).to_bytes(2, "little") for one in near),
        traces=b"".join(trace_key(sample.trace_id) for sample in samples),
    )


def context_of(look: LookCount, *, self_noise: float | None = None, unmeasured: float = 0.0) -> ScoreContext:
    """What a comparison must know of its look, and of what stands for right answers (`ScoreContext`)."""
    return ScoreContext(
        self_noise=self_noise,
        looks=1 if look.may_promote or look.informs else max(2, look.number),
        informs=look.informs,
        gone=look.gone if look.may_promote else 0,
        removed=look.removed if look.may_promote else 0,
        unmeasured=unmeasured,
    )


def with_look(comparison: Comparison, look: LookCount, period: tuple[date, date] | None = None) -> Comparison:
    """The comparison with what its promise is about: which look at which items, asked when. What the store does not
    know is said first, then a further look."""
    note = (look_note(look),)
    notes = (*comparison.notes, *note) if look.number == 1 else (*note, *comparison.notes)
    known = look.known.notes() if look.known is not None else ()
    return msgspec.structs.replace(comparison, look=look, period=period, notes=(*known, *notes))


def look_note(look: LookCount) -> str:
    """What was looked at, how often, and what that leaves of the promise."""
    if look.informs:
        return (
            f"These {look.items:,} items test the candidate with the incumbent as fallback by rising share, and the "
            "candidate alone last. One share was not promoted, so the candidate alone cannot be: its figure is for "
            "information."
        )
    if look.number == 1:
        share = f", one of {look.planned} planned" if look.planned > 1 else ""
        promise = f"a wrong promotion has a probability of at most {look.alpha / look.part:.2%}"
        if look.part < 1:
            promise += f" over the candidates that share it, {look.alpha:.2%} for this one"
        return f"First evaluation of these {look.items:,} items{share}: {promise}."
    when = f" on {look.first_at:%Y-%m-%d}" if look.first_at is not None else ""
    text = (
        f"Evaluation {look.number} of these items, the first{when} ({(look.first_evaluation or '')[:_SHOWN_ID]}); "
        f"{look.shared:,} of {look.items:,} items are shared with earlier evaluations."
    )
    if look.gone:
        text += f" {look.gone:,} items of those are missing here, and count as lost."
    if look.removed:
        text += (
            f" {look.removed:,} items of those were forgotten or too old to keep: they do not count as lost, but a "
            "promotion must hold even if they did."
        )
    if look.may_promote:
        return f"{text} {look.planned} were planned; this one has {look.alpha / look.part:.4f} of alpha."
    return (
        f"{text} The earlier ones were allowed an error of {look.alpha_spent:.2%} in all, so this one cannot promote. "
        "Hold out samples that no evaluation has used (a new file in held_out_files), and plan the number of "
        "evaluations before the first one: [task] looks, or --planned-looks."
    )


LOOKS = "evaluations"
LOOKS_ELSEWHERE = "evaluations elsewhere"
"""Told of looks that the store does not know: no reason against one more."""
_FRESH = (
    "hold out items that no evaluation has used (held_out_files); state how many there will be before the first "
    "([task] looks)"
)


def look_findings(
    store: Store, dataset: Dataset, task: Task, samples: Sequence[Sample], plan: LookPlan = ONE_LOOK
) -> Iterator[Finding]:
    """What one more evaluation of `samples` would be. It never fails: the same evaluation again adds no look, and
    whether it will be the same is not known before."""
    if not samples:
        return
    look = look_at(
        samples,
        evaluation_id=content_id(["preflight", dataset.id, task]),
        dataset_id=dataset.id,
        names=("incumbent", "candidate"),
        alpha=task.alpha,
    )
    known = store.records(ItemLook)
    for note in look_ledger.tell(look, known).notes():
        yield warn(LOOKS_ELSEWHERE, note, _FRESH)
    found = looks.count(known, look, allowed=task.alpha, plan=plan)
    if found.may_promote:
        yield ok(LOOKS, f"evaluation {found.number} of these items, {plan.planned} planned")
        return
    for answers in dict.fromkeys(one.answers for one in known if one.alone and one.answers is not None):
        same = msgspec.structs.replace(look, answers=answers)
        first = looks.count(known, same, allowed=task.alpha, plan=plan)
        if first.may_promote:
            yield ok(
                LOOKS,
                f"evaluation {first.number} of these items for the answers scored before the incumbent's were "
                "there; other answers are a further evaluation and cannot promote",
            )
            return
    yield warn(
        LOOKS,
        f"{found.shared:,} of {found.items:,} held-out items were evaluated before, which spent an error of "
        f"{found.alpha_spent:.2%}: another evaluation of them cannot promote",
        _FRESH,
    )
