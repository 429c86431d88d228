"""What of a request tells its task: the API, the model, the tools, the form of answer, the texts that instruct."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from freehold.datasets.messages import blanked_text
from freehold.types.config.data import DataConfig, MatchConfig
from freehold.types.identity import INSTRUCTIONS
from freehold.types.record import canonical_json
from freehold.types.trace import Trace

HEAD_CHARACTERS, TAIL_CHARACTERS = 6000, 2000
"""Of a longer text the beginning and the end are looked at: that is where instructions stand."""
_LINES = re.compile(r"\s*\n\s*")
_SPACES = re.compile(r"[^\S\n]+")
Api: TypeAlias = Literal["chat", "completions", "embeddings"]


class TaskShape(NamedTuple):
    """What must be the same for two requests to be of one task, whatever their words. `tools` are sorted names;
    `form` is a schema's name, ``json_object`` or ``text``; `instructed` says whether there are instructions."""

    kind: Api
    model: str
    tools: tuple[str, ...]
    form: str
    instructed: bool


class AskedTask(NamedTuple):
    """A request as its task is told from it. `called` are the tools that its history calls."""

    shape: TaskShape
    system: str
    user: str
    called: frozenset[str]


def asked_task(request: Mapping[str, Any], *, model: str = "", kind: Api = "chat") -> AskedTask:
    """The parts of a request that tell its task. Texts have their white space collapsed. Pure."""
    messages = request.get("messages")
    turns = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    if not turns:
        turns = [{"role": "user", "content": _bare(request)}]
    system = "\n".join(blanked_text(m.get("content")) for m in turns if m.get("role") in INSTRUCTIONS)
    user = next((m.get("content") for m in turns if m.get("role") == "user"), None)
    shape = TaskShape(
        kind=kind,
        model=model or str(request.get("model") or ""),
        tools=_tool_names(request),
        form=_form(request.get("response_format")),
        instructed=bool(system.strip()),
    )
    return AskedTask(shape, collapsed(system), collapsed(blanked_text(user)), _called(turns))


def collapsed(text: str) -> str:
    """A text as tasks compare it: each run of white space one space or one line break, a long text shortened."""
    return _collapsed(text) if len(text) < 1 << 15 else _collapse(text)


def _collapse(text: str) -> str:
    # A surplus is cut before the regular expressions: a document of megabytes must not cost seconds.
    if len(text) > 4 * (HEAD_CHARACTERS + TAIL_CHARACTERS):
        text = text[: 2 * HEAD_CHARACTERS] + "\n" + text[-2 * TAIL_CHARACTERS :]
    plain = _LINES.sub("\n", _SPACES.sub(" ", text)).strip()
    if len(plain) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return plain
    return f"{plain[:HEAD_CHARACTERS]}\n{plain[-TAIL_CHARACTERS:]}"


_collapsed = lru_cache(maxsize=2048)(_collapse)
"""Most applications send one prompt again and again."""


def _bare(request: Mapping[str, Any]) -> Any:
    """What is asked where there are no messages: a completion's prompt, what is to be embedded."""
    found = request.get("prompt", request.get("input"))
    if isinstance(found, list):
        return found[0] if found and isinstance(found[0], str) else ""
    return found


def _tool_names(request: Mapping[str, Any]) -> tuple[str, ...]:
    offered = request.get("tools") or request.get("functions")
    return tuple(sorted({_name(tool) for tool in offered})) if isinstance(offered, list) else ()


def _name(tool: Any) -> str:
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    return str(function.get("name") or function.get("type")) if isinstance(function, dict) else str(tool)


def _form(wanted: Any) -> str:
    if not isinstance(wanted, dict) or wanted.get("type") in (None, "text"):
        return "text"
    schema = wanted.get("json_schema")
    if not isinstance(schema, dict):
        return str(wanted["type"])
    if isinstance(name := schema.get("name"), str) and name:
        return name
    return f"schema {hashlib.blake2b(canonical_json(schema), digest_size=4).hexdigest()}"


def _called(turns: list[dict[str, Any]]) -> frozenset[str]:
    calls = (
        call for turn in turns if isinstance(turn.get("tool_calls"), list) for call in turn["tool_calls"]
    )
    return frozenset(_name(call) for call in calls)


ANOTHER_TASK = "another task's request ([[data.match]])"
"""The reason for which a record is passed over."""
ANY_TOOLS = ("*",)
"""Stands for tools that differ from request to request."""


def is_selected(trace: Trace, data: DataConfig) -> bool:
    """Whether a trace is of the task that `[[data.match]]` selects; all are where there is none. Pure.

    The instruction that `[data] system` puts before an input is not the log's: it does not count.
    """
    return not data.match or any_fits(
        data.match, asked_task(trace.request, model=trace.model, kind=trace.kind), own_system=data.system
    )


def any_fits(wanted: Sequence[MatchConfig], asked: AskedTask, *, own_system: str | None = None) -> bool:
    """Whether one of `wanted` selects a request, whose instructions do not count where they are `own_system`. Pure."""
    if own_system is not None and asked.system == collapsed(own_system):
        asked = asked._replace(shape=asked.shape._replace(instructed=False), system="")
    return any(fits(one, asked) for one in wanted)


def fits(wanted: MatchConfig, asked: AskedTask) -> bool:
    """Whether a request is one of those that `wanted` selects. Pure."""
    shape = asked.shape
    if wanted.kind != shape.kind or (wanted.model is not None and wanted.model != shape.model):
        return False
    if wanted.form is not None and wanted.form != shape.form:
        return False
    if (wanted.system is not None) != shape.instructed or not _tools_fit(wanted.tools, asked):
        return False
    if not stand_in_order(wanted.system or (), asked.system) or not stand_in_order(wanted.user, asked.user):
        return False
    return not any(_holds(asked, pieces) for pieces in wanted.without)


def _tools_fit(wanted: tuple[str, ...] | None, asked: AskedTask) -> bool:
    offered = asked.shape.tools
    if wanted is None or wanted == offered:
        return True
    if wanted == ANY_TOOLS:
        return bool(offered or asked.called)
    return not offered and bool(asked.called) and asked.called <= set(wanted)


def _holds(asked: AskedTask, pieces: Sequence[str]) -> bool:
    """Whether the instructions or the first user turn hold all pieces, in order."""
    return stand_in_order(pieces, asked.system) or stand_in_order(pieces, asked.user)


def stand_in_order(pieces: Sequence[str], text: str) -> bool:
    """Whether a text holds all pieces, one after another. Pure."""
    at = 0
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True
