"""The chat request made from a sample, and the cache key of its answer."""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import Task
from freehold.types.record import content_id

KEPT_PARAMETERS = (
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "tool_choice",
    "parallel_tool_calls",
)
"""The parameters of a recorded request that are sent again. The seed is not: a repeat is there to measure noise."""


def recorded_parameters(request: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a recorded request that belong to how the application asks."""
    return {name: request[name] for name in KEPT_PARAMETERS if request.get(name) is not None}


def chat_request(
    sample: Sample, served: ServedModel, task: Task, parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The body of an OpenAI chat request for `sample`; what the served model asks for is merged in last.

    `parameters` stand in for the task's: with any of them given, the task adds neither limit nor temperature.
    """
    body: dict[str, Any] = {
        "messages": [
            {
                key: value
                for key, value in msgspec.to_builtins(message).items()
                if (value is not None and key != "weight") or key == "content"
            }
            for message in sample.messages
        ],
        **(parameters or {"max_tokens": task.max_tokens, "temperature": task.temperature}),
    }
    if sample.tools:
        body["tools"] = sample.tools
    if sample.response_format:
        body["response_format"] = sample.response_format
    return served.apply(body)


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
