"""Were these items looked at before, and is the error that was planned for spent?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from freehold.stats import looks
from freehold.stats.looks import ONE_LOOK, LookPlan
from freehold.store import Store, look_ledger
from freehold.types.dataset import Dataset, Sample
from freehold.types.evaluated import ItemLook
from freehold.types.evaluation import Task
from freehold.types.finding import Finding, ok, warn
from freehold.types.record import content_id
from freehold.workflows.prove.looks import look_at

CHECK = "looks"
ELSEWHERE = "looks elsewhere"
"""Told of looks that the store does not know: no reason against one more."""
_FRESH = "hold out items that no evaluation has looked at (held_out_files); plan looks before the first ([task] looks)"


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
        yield warn(ELSEWHERE, note, _FRESH)
    found = looks.count(known, look, allowed=task.alpha, plan=plan)
    if found.may_promote:
        yield ok(CHECK, f"look {found.number} at these items, {plan.planned} planned")
        return
    for answers in dict.fromkeys(one.answers for one in known if one.alone and one.answers is not None):
        same = msgspec.structs.replace(look, answers=answers)
        first = looks.count(known, same, allowed=task.alpha, plan=plan)
        if first.may_promote:
            yield ok(
                CHECK,
                f"look {first.number} at these items for the answers that were scored before the incumbent's were "
                "there; other answers are a further look and cannot promote",
            )
            return
    yield warn(
        CHECK,
        f"{found.shared:,} of {found.items:,} held-out items were evaluated before, which spent an error of "
        f"{found.alpha_spent:.2%}: another evaluation of them cannot promote",
        _FRESH,
    )
