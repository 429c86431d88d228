"""`freehold dataset request`: what the model of a project is sent when a sample, or a text, is asked."""

from __future__ import annotations

from typing import Any

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.evals.chat.requests import chat_request
from freehold.preparing.conversation import UNPREPARED, unprepared
from freehold.store import open_store
from freehold.types.dataset import SPLITS, Dataset, Message, Sample
from freehold.types.endpoint import ServedModel, ServePlan
from freehold.types.preparation import Preparation
from freehold.types.record import Record
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.prove.task import task_of


class ShownRequest(Record, frozen=True, kw_only=True):
    """A request as a model is sent it. `unprepared` says why it goes as it came; None where it is prepared."""

    model: str
    preparation: str | None
    """Id of the preparation; None where the model is asked as the application asks."""
    examples: int
    unprepared: str | None
    body: dict[str, Any]


def request(
    project: Project,
    sample_id: str | None = None,
    *,
    text: str | None = None,
) -> ShownRequest:
    """The request for a sample (the beginning of its id; default: the first held-out one) or for a user's `text`.

    It is prepared as `freehold migrate` chose last. Raises `UsageError` where
    there is no such thing, and what opening an index of examples raises.
    """
    with open_store(project.store_url) as store:
        plan, how = store.latest(ServePlan), None
        if plan is not None:
            how = plan.preparation
        model = how.base_model if how is not None else plan.served_name if plan is not None else None
        if model is None:
            raise UsageError(
                "no model was chosen yet that could be asked", hint="freehold migrate chooses one"
            )
        if text is not None:
            sample = _sample_of(text, how)
        else:
            sample = _find(find_dataset(store, None), sample_id)
    served = ServedModel(name=model, upstream_name=model, preparation=how)
    task = task_of(project)
    plain = chat_request(sample, ServedModel(name=model, upstream_name=model), task)
    body = chat_request(sample, served, task)
    why = unprepared(plain, how) if how is not None else None
    return ShownRequest(
        model=model,
        preparation=None if how is None else how.id,
        examples=_answers(body) - _answers(plain),
        unprepared=None if why is None else UNPREPARED[why],
        body=body,
    )


def _answers(body: dict[str, Any]) -> int:
    return sum(one["role"] == "assistant" for one in body["messages"])


def _sample_of(text: str, how: Preparation | None) -> Sample:
    """What a user says, after the system prompt that the preparation is for."""
    system = how.system_was if how is not None else None
    said = [] if system is None else [Message(role="system", content=system)]
    return Sample(id="", messages=(*said, Message(role="user", content=text)))


def _find(dataset: Dataset, sample_id: str | None) -> Sample:
    for split in reversed(SPLITS):
        for sample in building.samples(dataset, split):
            if sample_id is None or sample.id.startswith(sample_id):
                return sample
    raise UsageError(
        f"no sample of the dataset {dataset.id[:8]} has an id that begins with {sample_id}",
        hint=f"ids stand in {dataset.path}",
    )
