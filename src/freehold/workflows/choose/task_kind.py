"""What kind of task a project has: said in `freehold.toml`, or seen in the answers of its traffic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from freehold.datasets.messages import message_text, response_message
from freehold.errors import UsageError
from freehold.training.encoder.answers import form_of
from freehold.types.config import ProjectConfig
from freehold.types.config.project import TaskConfig
from freehold.types.planning.assessment import TaskKind
from freehold.types.trace import Trace

TASK_WORDS: dict[TaskKind, str] = {
    "labels": "answers from a closed set",
    "extraction": "JSON with parts of the text",
    "text": "free text",
    "tools": "calls of tools",
    "agent": "an agent's turns",
    "code": "program text",
}
_OF_SCORER: dict[str, TaskKind] = {
    "label": "labels", "json_fields": "extraction", "tool_call": "tools", "turn": "agent", "code": "code",
    "numeric": "text", "contains": "text", "regex": "text", "semantic": "text", "judge": "text",
}  # fmt: skip
_NEARLY_ALL, _FEW, _OFTEN = 0.95, 0.05, 0.3
_FEWEST = 20
"""Answers from which their kind is told."""


class KnownTask(NamedTuple):
    """The kind of a task, and how it is known; None where it is not."""

    kind: TaskKind | None
    how: str | None = None


def known_task(config: ProjectConfig, traces: Sequence[Trace], stated: TaskKind | None) -> KnownTask:
    """The task that was stated, else the one that the scorer of `[task]` says, else what answers look like."""
    if stated is not None:
        return KnownTask(stated, f"{TASK_WORDS[stated]}, as stated")
    answers = [answer for trace in traces if (answer := _answer(trace)) is not None]
    said = _OF_SCORER.get(config.task.scorer) if config.task != TaskConfig() else None
    if said == "extraction" and _are_closed(answers):
        said = "labels"
    if said is not None:
        return KnownTask(said, f"{TASK_WORDS[said]}: [task] scorer is {config.task.scorer}")
    if len(answers) < _FEWEST:
        return KnownTask(None)
    seen = kind_of(answers)
    return KnownTask(seen, f"{TASK_WORDS[seen]}, by {len(answers):,} answers of the traffic")


class Answer(NamedTuple):
    """An answer's text, and whether it calls tools."""

    text: str
    calls: bool = False


def kind_of(answers: Sequence[Answer]) -> TaskKind:
    """What answers are, most particular first."""
    calls = sum(one.calls for one in answers) / len(answers)
    if calls >= _NEARLY_ALL:
        return "tools"
    if calls >= _FEW:
        return "agent"
    if sum("```" in one.text for one in answers) >= _OFTEN * len(answers):
        return "code"
    if _are_closed(answers):
        return "labels"
    if sum(_is_object(one.text) for one in answers) >= _NEARLY_ALL * len(answers):
        return "extraction"
    return "text"


def _answer(trace: Trace) -> Answer | None:
    message = response_message(trace.response) if trace.response else None
    if message is None or trace.parent_id is not None:
        return None
    text = message_text(message)
    calls = bool(message.get("tool_calls") or message.get("function_call"))
    return Answer(trace.gold or text or "", calls) if text or calls or trace.gold else None


def _are_closed(answers: Sequence[Answer]) -> bool:
    if len(answers) < _FEWEST:
        return False
    texts = [one.text for one in answers]
    try:
        form_of(texts, [""] * len(texts))
    except UsageError:
        return False
    return True


def _is_object(text: str) -> bool:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict)
