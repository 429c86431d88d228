"""The chat request made from a sample, and the cache key of its answer.

Every model that is measured is asked by this one function, the incumbent too: what a recorded request said of how it
wants to be answered (`RecordedAsking`) is said to both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from freehold.preparing.conversation import UNPREPARED, unprepared
from freehold.preparing.request import asked
from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import Task
from freehold.types.record import content_id
from freehold.wire.errors import ApiError
from freehold.wire.tool_choice import one_tool

_OF_TOOLS = ("tool_choice", "parallel_tool_calls")


def asked_with(sample: Sample, task: Task | None, *, repeat: int = 0) -> dict[str, Any]:
    """The parameters a sample is asked with: those of the recorded request; what it does not say is the task's.

    A limit and a temperature are always sent, since the defaults of APIs and engines differ; not without a task, for an
    answer that stands beside one of live traffic. A recorded seed is moved on by `repeat`: a repeat is there to measure
    noise.
    """
    said = _said(sample)
    if repeat and "seed" in said:
        said["seed"] += repeat
    if task is None:
        return dict(said)
    return {"max_tokens": task.max_tokens, "temperature": task.temperature} | said


def chat_request(
    sample: Sample,
    served: ServedModel,
    task: Task | None,
    endpoint: Endpoint | None = None,
    *,
    repeat: int = 0,
) -> dict[str, Any]:
    """The body of an OpenAI chat request for `sample`; what the served model asks for is merged in last.

    With the `endpoint`, a choice of one tool is said in the way its engine reads.
    """
    body: dict[str, Any] = {
        "messages": [
            {
                "content": None,  # a turn that only calls says so: not every engine takes a message without it
                **{k: v for k, v in msgspec.to_builtins(message).items() if v is not None and k != "weight"},
            }
            for message in sample.messages
        ],
        **asked_with(sample, task, repeat=repeat),
    }
    if sample.tools:
        body["tools"] = sample.tools
    if sample.response_format:
        body["response_format"] = sample.response_format
    if (
        endpoint is not None
        and not endpoint.engine_kind.reads_tool_names
        and isinstance(body.get("tool_choice"), dict)
    ):
        with suppress(ApiError):  # a choice the API itself would have refused is sent as it stands
            body |= one_tool(msgspec.json.encode(body))
    return asked(served, body)


def unread_notes(samples: Sequence[Sample], endpoint: Endpoint) -> list[str]:
    """What the recorded requests say that the endpoint's engine is known not to read."""
    unread = Counter(
        name for sample in samples for name in _said(sample) if name in endpoint.engine_kind.unread_fields
    )
    return [
        f"{endpoint.engine_kind.title} does not read {name}, which {count:,} of {len(samples):,} requests say."
        for name, count in sorted(unread.items())
    ]


def asking_notes(samples: Sequence[Sample], endpoint: Endpoint) -> list[str]:
    """What a reader must know about how both models were asked."""
    said = Counter(name for sample in samples for name in _said(sample))
    told = ", ".join(f"{name} ({count:,})" for name, count in sorted(said.items()))
    notes = (
        [f"Asked as {len(samples):,} requests were recorded: {told}; else as the task says."] if told else []
    )
    return notes + unread_notes(samples, endpoint)


def preparation_notes(samples: Sequence[Sample], served: ServedModel) -> list[str]:
    """What a reader must know about requests that were prepared for the candidate."""
    how = served.preparation
    if how is None:
        return []
    plain = msgspec.structs.replace(served, preparation=None)
    whys = Counter(unprepared(chat_request(sample, plain, None), how) for sample in samples)
    done = [
        *(["a system prompt of its own"] if how.system is not None else []),
        *([f"{how.examples.k} of {how.examples.samples:,} examples"] if how.examples is not None else []),
    ]
    prepared = whys.pop(None, 0)
    notes = [
        f"The candidate was asked with {', '.join(done)} in {prepared:,} of {len(samples):,} requests, as its plan "
        f"serves it (preparation {how.id[:12]})."
    ]
    return notes + [
        f"{count:,} requests went to the candidate as they were recorded: {UNPREPARED[why]}."
        for why, count in sorted(whys.items(), key=str)
        if why is not None
    ]


def _said(sample: Sample) -> dict[str, Any]:
    """The parameters its recorded request named. Those of tools go without tools: an API refuses them then."""
    said = sample.asking.said if sample.asking is not None else {}
    return said if sample.tools else {name: value for name, value in said.items() if name not in _OF_TOOLS}


def request_key(body: dict[str, Any], served: ServedModel, endpoint: Endpoint, repeat: int = 0) -> str:
    """Key of an answer in the cache: the request with all its parameters, and who is asked.

    An adapter that is trained again under its old name has another `adapter_id`, so it never meets old answers. The
    address counts only where it says who answers: a local engine's port changes at each start.
    """
    identity = {
        "body": body,
        "name": served.name,
        "adapter": served.adapter_id,
        "engine": endpoint.engine,
        "at": endpoint.base_url if endpoint.engine_kind.is_rented else endpoint.name,
    }
    return content_id({**identity, "repeat": repeat} if repeat else identity)
