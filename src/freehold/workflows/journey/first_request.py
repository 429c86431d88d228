"""A request to try a served model with: what its application asks, not a greeting it was never trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import training
from freehold.errors import FreeholdError
from freehold.evals.chat.requests import chat_request
from freehold.store import open_store
from freehold.types.dataset import Sample
from freehold.types.endpoint import ServedModel
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.prove.task import task_of

_FILE = "try.json"


class FirstRequest(NamedTuple):
    """The request's body in a file, and what its last message asks."""

    path: Path
    asks: str


def first_request(project: Project, model: str) -> FirstRequest | None:
    """Write the first held-out sample as a request to `model`; None where there is none or it cannot be written."""
    try:
        with open_store(project.store_url) as store:
            dataset = find_dataset(store)
        sample = next(iter(training.read_samples(dataset, "held_out")), None)
        if sample is None:
            return None
        body = chat_request(sample, ServedModel(name=model, upstream_name=model), task_of(project))
        path = project.state / _FILE
        path.write_bytes(msgspec.json.format(msgspec.json.encode(body)) + b"\n")
    except (FreeholdError, OSError):
        return None  # a convenience: the journey itself has ended well
    return FirstRequest(path, _asked(sample))


def _asked(sample: Sample) -> str:
    said = sample.messages[-1].content
    text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    return " ".join(text.split())
