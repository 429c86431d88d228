"""Requests without an answer: from a file, and those in the store that got none."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.datasets.identity import question_id
from freehold.datasets.sampling import sample_of, with_id
from freehold.errors import InputError
from freehold.store import Store
from freehold.types.dataset import Sample
from freehold.types.record import content_id
from freehold.types.trace import Trace
from freehold.workflows.data.curate import Curator, pseudonym_key, recipe_of
from freehold.workflows.data.unlabelled import unanswered
from freehold.workflows.project import Project, now

MOST = 1000
"""Requests without an answer at most, the newest first."""


def unlabelled(project: Project, store: Store, file: Path | None, known: set[str]) -> list[Sample]:
    """The newest requests that have no answer, with personal data replaced as in a dataset.
    `known` are questions that have one.

    Raises `InputError` for a file without requests.
    """
    recipe = recipe_of(project)
    curator = Curator(recipe, project.config.task, pseudonym_key(project))
    found: dict[str, Sample] = {}
    asked = (*(_in_file(file) if file is not None else ()), *unanswered(store, 10 * MOST))
    for trace in asked:
        try:
            sample = with_id(curator.change(sample_of(trace, recipe), "train"))
        except msgspec.ValidationError:
            continue
        if question_id(sample.messages) not in known:
            found.setdefault(sample.id, sample)
    return list(islice(found.values(), MOST))


def _in_file(path: Path) -> list[Trace]:
    """JSON lines of chat requests: a body, a line of a batch (``body``), or messages. The last lines are the newest."""
    with files.reading(path):
        lines = path.read_bytes().splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            record: Any = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise InputError(f"not JSON: {error}", path=str(path), line=number) from None
        body = record.get("body", record.get("request", record)) if isinstance(record, dict) else None
        if not isinstance(body, dict) or not isinstance(messages := body.get("messages"), list):
            continue
        while messages and isinstance(messages[-1], dict) and messages[-1].get("role") == "assistant":
            messages = messages[:-1]  # an answer of someone else
        if not messages:
            continue
        request = {**body, "messages": messages}
        found.append(
            Trace(
                id=content_id(request),
                at=now(),
                source=f"import:{path.name}#{number}",
                model=str(request.get("model") or ""),
                request=request,
                response=None,
            )
        )
    if not found:
        raise InputError(
            "no line holds a chat request", path=str(path), hint='one JSON object a line: {"messages": […]}'
        )
    return found[::-1]
