"""The request a sample turns into, and the key its answer is kept under."""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.types.dataset import Sample
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.evaluation import Task
from freehold.types.record import content_id


def chat_request(sample: Sample, served: ServedModel, task: Task) -> dict[str, Any]:
    """The body of an OpenAI chat request for `sample`; `extra_body` of the served model is merged in last."""
    body: dict[str, Any] = {
        "model": served.upstream_name,
        "messages": [
            {
                key: value
                for key, value in msgspec.to_builtins(message).items()
                if value is not None or key == "content"
            }
            for message in sample.messages
        ],
        "max_tokens": task.max_tokens,
        "temperature": task.temperature,
    }
    if sample.tools:
        body["tools"] = sample.tools
    if sample.response_format:
        body["response_format"] = sample.response_format
    return body | served.extra_body


def request_key(body: dict[str, Any], served: ServedModel, endpoint: Endpoint) -> str:
    """Key of an answer in the cache: the request with all its parameters, and who is asked.

    An adapter trained anew under an old name has another `adapter_id`, so it never meets old answers. The
    address counts only where it says who answers: a local engine's port is chosen anew at each start.
    """
    return content_id(
        {
            "body": body,
            "name": served.name,
            "adapter": served.adapter_id,
            "engine": endpoint.engine,
            "at": endpoint.base_url if endpoint.engine == "remote" else endpoint.name,
        }
    )
