"""Tool calls for chat templates that write none: a preface that turns tools, calls and results into plain messages.

The format is the one that Hermes and Qwen models use, so that llama.cpp and vLLM turn the text back into
``tool_calls`` by themselves: tools as JSON objects in the system message, a call as a JSON object between
``<tool_call>`` tags, a result between ``<tool_response>`` tags as the user. A conversation without tools is written
exactly as the model's own template writes it.

A call is looked for by its function's name, the names of its arguments and every value in them, in whatever notation
the template has: JSON, XML, Python, with and without escapes. That a value is found elsewhere in the same text by
chance cannot be told; a template that leaves calls out loses the names as well.
"""

from __future__ import annotations

import functools
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
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
    return files("freehold.training").joinpath("tagged_calls.jinja").read_text(encoding="utf-8")


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


LOSES_CALLS = "template_loses_calls"
LOSES_TEXT = "template_loses_text"

_THINKING = re.compile(r"</?think>")


def lost_from_answer(message: dict[str, Any], learned: str, *, tagged: bool) -> tuple[str, str] | None:
    """Code and reason of what a learned answer lacks; None where all of the message is in it.

    `message` is an assistant message with arguments as objects; `tagged` says that calls are written as
    `freehold.training.templates` writes them, which is then checked to the letter.
    """
    learned = unicodedata.normalize("NFC", learned)
    for part in _THINKING.split(message["content"]):
        if not _has(learned, part.strip()):
            return LOSES_TEXT, f"the chat template does not write {_short(part.strip())} of the answer"
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in _calls(message)]
    if tagged:
        wanted = [TaggedCall(name, arguments) for name, arguments in calls]
        if calls_in(learned) != wanted:
            return LOSES_CALLS, f"{len(wanted)} calls are not read back from the learned text"
        return None
    at = 0
    for name, arguments in calls:
        place = learned.find(name, at)
        if place < 0:
            return LOSES_CALLS, f"the chat template does not write the call of {name}"
        at = place + len(name)
        missing = next((value for value in _leaves(arguments) if not _written(learned[at:], value)), None)
        if missing is not None:
            return LOSES_CALLS, f"the chat template does not write {_short(missing)} in the call of {name}"
    return None


def lost_from_prompt(
    tools: Sequence[dict[str, Any]], conversation: Iterable[dict[str, Any]], prompt: str
) -> tuple[str, str] | None:
    """Code and reason of what a prompt lacks of the tools, the calls made before and their results."""
    prompt = unicodedata.normalize("NFC", prompt)
    for tool in tools:
        name = (tool.get("function") or tool).get("name")
        if isinstance(name, str) and name not in prompt:
            return LOSES_CALLS, f"the chat template does not write the tool {name}"
    for message in conversation:
        for call in _calls(message):
            if call["function"]["name"] not in prompt:
                return (
                    LOSES_CALLS,
                    f"the chat template does not write the earlier call of {call['function']['name']}",
                )
        if message["role"] == "tool" and not _has_result(prompt, message["content"]):
            return (
                LOSES_CALLS,
                f"the chat template does not write the tool result {_short(message['content'])}",
            )
    return None


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message.get("tool_calls") or []


def _has(text: str, part: str) -> bool:
    return unicodedata.normalize("NFC", part) in text


def _has_result(prompt: str, content: str) -> bool:
    """A result stands there as it is, or, where it is JSON, value by value."""
    if _has(prompt, content.strip()) or _written(prompt, content.strip()):
        return True
    try:
        value = json.loads(content)
    except ValueError:
        return False
    return all(_written(prompt, leaf) for leaf in _leaves(value))


def _leaves(value: Any) -> Iterable[Any]:
    """Names and plain values in a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _written(text: str, value: Any) -> bool:
    return any(_has(text, spelling) for spelling in _spellings(value))


def _spellings(value: Any) -> Iterable[str]:
    """Ways in which templates write a plain value."""
    if value is None or isinstance(value, bool):
        return (json.dumps(value), str(value), "none" if value is None else json.dumps(value))
    if isinstance(value, int | float):
        whole = isinstance(value, float) and value.is_integer()
        return (json.dumps(value), str(value), *((str(int(value)),) if whole else ()))
    text = str(value)
    in_json = json.dumps(text)[1:-1]
    safe = in_json
    for sign in "<>&'":  # as Jinja's own `tojson` writes them
        safe = safe.replace(sign, f"\\u{ord(sign):04x}")
    return (
        text,
        text.strip(),
        in_json,
        json.dumps(text, ensure_ascii=False)[1:-1],
        safe,
        repr(text)[1:-1],
        html.escape(text),
        html.escape(text, quote=False),
    )


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else text[:39] + "…")
