"""Tool calls for chat templates that write none: a preface that turns tools, calls and results into plain messages.

The format is the one that Hermes and Qwen models use, so that llama.cpp and vLLM turn the text back into
``tool_calls`` by themselves: tools as JSON objects in the system message, a call as a JSON object between
``<tool_call>`` tags, a result between ``<tool_response>`` tags as the user. A conversation without tools is written
exactly as the model's own template writes it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

Render = Callable[[list[dict[str, Any]]], str]
"""A conversation to text, through a model's own chat template."""

MARK = "{#- Tools and calls for a chat template that writes none"
_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


class TaggedCall(NamedTuple):
    """A call as it stands in a text."""

    name: str
    arguments: Any


def tagged_template(own: str, render: Render) -> str:
    """The template `own` with tools and calls; `render` renders through `own`, to see whether it has a system role."""
    role = "system" if _has_system_role(render) else "user"
    return _preface().replace("LEAD_ROLE", f"'{role}'") + own


def is_tagged(template: str) -> bool:
    """Whether a template was made by `tagged_template`."""
    return template.startswith(MARK)


def calls_in(text: str) -> list[TaggedCall] | None:
    """The calls in a learned text, in order; None where something between the tags is not a call."""
    found = []
    for body in _CALL.findall(text):
        try:
            call = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            return None
        if not isinstance(call.get("name"), str) or set(call) != {"name", "arguments"}:
            return None
        found.append(TaggedCall(call["name"], call["arguments"]))
    return found


@functools.cache
def _preface() -> str:
    return files("freehold.training.templates").joinpath("tagged_calls.jinja").read_text(encoding="utf-8")


def _has_system_role(render: Render) -> bool:
    """Whether a template writes a system message, and writes it where it stands."""
    import jinja2

    try:
        text = render(
            [{"role": "system", "content": "SYSTEM-TEXT"}, {"role": "user", "content": "USER-TEXT"}]
        )
    except (jinja2.TemplateError, TypeError, ValueError):
        return False
    return 0 <= text.find("SYSTEM-TEXT") < text.find("USER-TEXT")
