"""What people say of labels that are in doubt: right, or another one. The next dataset is built with it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.gateway.capture.redaction import redactor_of
from freehold.store import Store
from freehold.types.audit import Change
from freehold.types.dataset import Dataset, Sample
from freehold.types.notes import LabelReview
from freehold.workflows.project import Project

ANSWER_CHARACTERS = 100_000


def review_label(
    project: Project,
    store: Store,
    dataset: Dataset,
    sample_id: str,
    answer: str | None,
    *,
    who: str,
    at: datetime,
) -> LabelReview:
    """Say what is right for a training sample: what it teaches (`answer` None), or another answer.

    The recorded request gets it as its right answer (gold), as feedback through the gateway gives it, so that
    `freehold dataset build` makes a dataset with it; the dataset that stands is never changed. The audit record says
    which request and by whom, not the answer.
    People's data in another answer are replaced as capture replaces them.
    Raises `UsageError` for a sample that is not there, that was made of no recorded request, or an answer that is empty
    or too long.
    """
    sample = _find(dataset, sample_id)
    right = sample.target if answer is None else answer
    if right is None or not right.strip():
        raise UsageError("the right answer is empty", hint="to leave a sample out: freehold traces rm")
    clean = redactor_of(project.config.capture.mode)
    if answer is not None and clean is not None:
        right = str(clean(right))
    if len(right) > ANSWER_CHARACTERS:
        raise UsageError(
            f"the right answer has {len(right):,} characters, at most {ANSWER_CHARACTERS:,} are kept"
        )
    trace = None if sample.trace_id is None else store.get_trace(sample.trace_id)
    # It may be forgotten at any moment, and nothing of it may be kept then.
    if trace is None or not store.replace_trace(msgspec.structs.replace(trace, gold=right)):
        raise UsageError(
            f"sample {sample_id[:12]} was made of no request that is still here",
            hint="correct it where its file is kept, then freehold import and freehold dataset build",
        )
    decision: Literal["confirmed", "corrected"] = "confirmed" if right == sample.target else "corrected"
    review = LabelReview(
        sample_id=sample_id,
        trace_id=trace.id,
        dataset_id=dataset.id,
        decision=decision,
        answer=right,
        before=sample.target,
        who=who,
        at=at,
    )
    change = Change(
        action=f"label.{decision}", who=who, at=at, detail={"trace": trace.id, "dataset": dataset.id}
    )
    store.put(review, made_from=(dataset.id,), change=change)
    return review


def reviews(store: Store) -> dict[str, LabelReview]:
    """What was said of which sample, by sample id."""
    return {one.sample_id: one for one in store.records(LabelReview)}


def _find(dataset: Dataset, sample_id: str) -> Sample:
    for sample in building.samples(dataset, "train"):
        if sample.id == sample_id:
            return sample
    raise UsageError(
        f"dataset {dataset.id[:12]} has no training sample {sample_id[:12]}",
        hint="freehold dataset doubts lists them",
    )
