"""`freehold dataset doubts`: training samples a trained model disagrees with, to be looked at by a person."""

from __future__ import annotations

import math
from pathlib import Path

from freehold import training
from freehold.datasets.building import all_asked
from freehold.datasets.profile import are_labels
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.training import loss_history
from freehold.types.dataset import Doubt, Doubts, Sample
from freehold.types.training import Adapter, Learned, TrainingResult, WholeModel
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.train.adapters import find_adapter

DOUBTED = 0.5
"""A label less likely than this to the model that learned all others: it found another one likelier, or nearly."""
WORST_SHARE = 0.01
"""Of free answers, which have no such limit, this share is shown."""
SHOWN_TEXT = 300


def doubts(project: Project, wanted: str | None = None, *, most: int = 50) -> Doubts:
    """What the model of an adapter (default: the one made last) doubted while it was trained.

    Raises `UsageError` when there is no such adapter, or it has no notes of its samples.
    """
    adapter = _adapter(project, wanted)
    found = loss_history.read(Path(adapter.path))
    if not found:
        raise UsageError(
            f"adapter {adapter.name} ({adapter.id[:12]}) noted nothing of its samples",
            hint="train again with freehold train; all methods take notes",
        )
    with open_store(project.store_url) as store:
        dataset = find_dataset(store, adapter.dataset_id)
    samples = {sample.id: sample for sample in training.read_samples(dataset, "train")}
    labels = are_labels([_answer(sample) for sample in samples.values()])
    known = [one for one in found if one.sample_id in samples]
    if labels:
        ranked = [one for one in known if math.exp(-one.loss) < DOUBTED]
    else:
        ranked = sorted(known, key=lambda one: -one.loss / max(1, one.tokens))
        ranked = ranked[: math.ceil(WORST_SHARE * len(samples))]
    return Doubts(
        adapter_id=adapter.id,
        dataset_id=dataset.id,
        labels=labels,
        samples=len(samples),
        first_pass_only=all(one.looks == 0 for one in known),
        found=len(ranked),
        doubts=tuple(_doubt(one, samples[one.sample_id], labels) for one in ranked[:most]),
    )


def _adapter(project: Project, wanted: str | None) -> TrainingResult:
    if wanted is not None:
        return find_adapter(project, wanted)
    with open_store(project.store_url) as store:
        latest = store.latest(Adapter) or store.latest(WholeModel)
    if latest is None:
        raise UsageError(
            "no adapter yet", hint="one is made by freehold train, which notes what it doubts on the way"
        )
    return latest


def _answer(sample: Sample) -> str:
    return sample.gold or sample.incumbent or ""


def _doubt(one: Learned, sample: Sample, labels: bool) -> Doubt:
    answer = _answer(sample)
    other = sample.incumbent if sample.incumbent != answer else None
    return Doubt(
        sample_id=one.sample_id,
        question=all_asked(sample)[:SHOWN_TEXT],
        answer=answer[:SHOWN_TEXT],
        probability=math.exp(-one.loss if labels else -one.loss / max(1, one.tokens)),
        looks=one.looks,
        incumbent=None if other is None else other[:SHOWN_TEXT],
    )
