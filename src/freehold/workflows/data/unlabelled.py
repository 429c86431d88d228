"""Messages of a project's traffic that have no answer, as texts that a candidate may learn from.

Redacted as samples are. What is held out or chosen by, and what is nearly the same, is left out: a candidate that had
read it would be judged on what it knows.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

import msgspec

from freehold.datasets import building
from freehold.datasets.apart import KnownQuestions
from freehold.datasets.sampling import answer_of, sample_of, with_id
from freehold.datasets.tasks.selecting import is_selected
from freehold.store import Store
from freehold.types.dataset import Dataset, Sample
from freehold.types.identity import question_id
from freehold.types.trace import Trace
from freehold.workflows.data.curate import Curator, pseudonym_key
from freehold.workflows.project import Project

MOST = 20_000
"""Messages at most, the newest first: more bring little, and each is read at every pass."""


class UnlabelledTraffic(NamedTuple):
    """Messages without an answer, the newest first, and how many were left out, by reason."""

    samples: list[Sample]
    left_out: dict[str, int]


def unanswered(store: Store, most: int) -> list[Trace]:
    """The newest chat requests to the incumbent that got no answer, and imported rows without one; newest first."""
    found: deque[Trace] = deque(maxlen=most)
    for one in store.traces(complete_only=False, own_only=True):
        asked = one.kind == "chat" and one.arm == "incumbent" and one.gold is None
        if asked and (one.completeness != "complete" or answer_of(one) is None):
            found.append(one)
    return list(reversed(found))


def unlabelled_traffic(project: Project, store: Store, dataset: Dataset) -> UnlabelledTraffic:
    """Messages of this project's task without an answer. Raises `StorageError` for a dataset that was changed."""
    recipe = msgspec.convert(dataset.recipe, building.Recipe)
    curator = Curator(recipe, project.config.task, pseudonym_key(project))
    known = {name: list(building.samples(dataset, name)) for name in ("train", "validation", "held_out")}
    taught = {question_id(one.messages) for one in known["train"]}
    left_out: Counter[str] = Counter()
    found: dict[str, Sample] = {}
    for trace in unanswered(store, MOST):
        if not is_selected(trace, project.config.data):
            left_out["of other tasks"] += 1
            continue
        try:
            sample = with_id(curator.change(sample_of(trace, recipe), "train"))
        except msgspec.ValidationError:
            left_out["not as the chat API spells them"] += 1
            continue
        asked = question_id(sample.messages)
        if asked in taught:
            left_out["answered elsewhere"] += 1
        elif asked in found:
            left_out["the same again"] += 1
        else:
            found[asked] = sample
    kept = list(found.values())
    judged = KnownQuestions([*known["validation"], *known["held_out"]], recipe.near_duplicates)
    repeated = judged.repeated_by(kept)
    if repeated.any():
        left_out["nearly the same as what is held out or chosen by"] += int(repeated.sum())
    kept = [one for one, again in zip(kept, repeated, strict=True) if not again]
    return UnlabelledTraffic(kept, dict(left_out))
