"""What a model wrote for a few validation samples, evaluation after evaluation, beside what is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from freehold import training as trainer
from freehold.errors import FreeholdError
from freehold.types.dataset import Dataset, Sample
from freehold.types.record import Record
from freehold.types.training import TrainingEvent
from freehold.workflows.tell.views.trace import ShownText, shown_text

TEXT_MAX = 2000
EVALUATIONS_MAX = 20
"""Evaluations shown of one run: the newest."""


class WrittenAt(Record, frozen=True, kw_only=True):
    """What the model answered after `step` steps."""

    step: int
    text: ShownText
    is_right: bool
    ended: bool


class WrittenSample(Record, frozen=True, kw_only=True):
    """One validation sample. `right` is what its run learns to answer: the incumbent's answer where it is distilled.
    It and `question` are None where the dataset is gone."""

    sample_id: str
    question: ShownText | None
    right: ShownText | None
    answers: tuple[WrittenAt, ...]


class _OfConfig(Record, frozen=True, kw_only=True):
    method: str = "lora"


class _OfJob(Record, frozen=True, kw_only=True):
    """As much of a run's ``job.json`` as is read here."""

    dataset: Dataset
    config: _OfConfig = _OfConfig()


def written_samples(events: Sequence[TrainingEvent], job: Path) -> tuple[WrittenSample, ...]:
    """The samples of a run's evaluations in the order they were told first; `job` is the run's ``job.json``."""
    told: dict[str, list[WrittenAt]] = {}
    evals = list({one.step: one for one in events if one.written}.values())[-EVALUATIONS_MAX:]
    for event in evals:
        for one in event.written:
            told.setdefault(one.sample_id, []).append(
                WrittenAt(
                    step=event.step,
                    text=shown_text(one.text, TEXT_MAX),
                    is_right=one.is_right,
                    ended=one.ended,
                )
            )
    samples = _samples(job, set(told)) if told else {}
    return tuple(
        WrittenSample(
            sample_id=id,
            question=_text(samples[id].messages[-1].content) if id in samples else None,
            right=_text(samples[id].target) if id in samples else None,
            answers=tuple(answers),
        )
        for id, answers in told.items()
    )


def _samples(job: Path, wanted: set[str]) -> dict[str, Sample]:
    """Those of the run, as it learns from them."""
    try:
        run = msgspec.json.decode(job.read_bytes(), type=_OfJob)
        found = {one.id: one for one in trainer.read_samples(run.dataset, "validation") if one.id in wanted}
    except (OSError, msgspec.MsgspecError, FreeholdError):
        return {}
    if run.config.method == "distill":
        return {id: msgspec.structs.replace(one, gold=None) for id, one in found.items()}
    return found


def _text(content: object) -> ShownText | None:
    return shown_text(content, TEXT_MAX) if isinstance(content, str) else None
