"""Preferences: a better and a worse answer to the same question (DPO), or one answer that was liked or not (KTO).

Sources of the shapes: OpenAI's guide "Direct preference optimization" (developers.openai.com, read 2026-11):
``input.messages`` with ``tools`` and ``parallel_tool_calls``, ``preferred_output``, ``non_preferred_output``; TRL's
page "Dataset formats" (huggingface.co/docs/trl): ``prompt``, ``chosen``, ``rejected`` as text or messages, the prompt
in both where it is not apart, and ``prompt``, ``completion``, ``label`` for KTO; OpenPipe's ``rejected_message``.
"""

from __future__ import annotations

from typing import Any

from freehold.datasets.importing.chats import messages_of, request_of
from freehold.datasets.importing.importer import Importer, common, each, first
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    as_json,
    as_object,
    check_exchange,
    completion,
)
from freehold.types.config import DataConfig


def claims(record: dict[str, Any]) -> bool:
    if "preferred_output" in record or "non_preferred_output" in record:
        return True
    if "chosen" in record and "rejected" in record:
        return True
    if "messages" in record and "rejected_message" in record:
        return True
    return "completion" in record and "prompt" in record and _liked(record.get("label")) is not None


def _convert(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    asked: Any
    rejected: list[dict[str, Any]] | None = None
    desirable: bool | None = None
    if "preferred_output" in record or "non_preferred_output" in record:
        asked = as_object(record.get("input"))
        if not asked:
            raise BadRecord("input is missing")
        chosen = _answer(record.get("preferred_output"), "preferred_output")
        rejected = _answer(record.get("non_preferred_output"), "non_preferred_output")
    elif "rejected_message" in record:
        turns = messages_of(record["messages"])
        if not turns or turns[-1].get("role") != "assistant":
            raise BadRecord("the last message is not from the assistant")
        asked = {**record, "messages": turns[:-1]}
        chosen, rejected = turns[-1:], _answer(record["rejected_message"], "rejected_message")
    elif "chosen" in record:
        prompt, chosen, rejected = _pair(record)
        asked = {**record, "messages": prompt}
    else:
        desirable = _liked(record.get("label"))
        if desirable is None:
            raise BadRecord(f"label is {record.get('label')!r}, expected true or false")
        asked = {**record, "messages": _prompt(record)}
        chosen = _answer(record.get("completion"), "completion")
    if rejected is not None and chosen == rejected:
        raise BadRecord("the better and the worse answer are the same")
    if len(chosen) > 1 or len(rejected or ()) > 1:
        raise BadRecord("an answer of several messages; one message can be preferred over another")
    request = request_of({key: value for key, value in asked.items() if key not in ("input", "prompt")})
    messages = check_exchange(request["messages"], chosen[0])
    for message in rejected or ():
        check_exchange(messages, message)
    return Imported(
        line=line,
        request={**request, "messages": messages},
        response=completion(chosen[0]),
        rejected=None if rejected is None else tuple(rejected),
        desirable=desirable,
        **common(record),
    )


def _pair(record: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    chosen, rejected = as_json(record["chosen"]), as_json(record["rejected"])
    if first(record, "prompt", "question", "messages") is not None:
        return _prompt(record), _answer(chosen, "chosen"), _answer(rejected, "rejected")
    if not isinstance(chosen, list) or not isinstance(rejected, list):
        raise BadRecord("no prompt, and chosen and rejected are not conversations")
    better, worse = messages_of(chosen), messages_of(rejected)
    shared = 0
    for one, other in zip(better[:-1], worse[:-1], strict=False):
        if one != other:
            break
        shared += 1
    if shared == 0:
        raise BadRecord("chosen and rejected do not begin with the same question")
    return better[:shared], better[shared:], worse[shared:]


def _prompt(record: dict[str, Any]) -> list[dict[str, Any]]:
    prompt = as_json(first(record, "prompt", "question", "messages"))
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else messages_of(prompt)
    if isinstance(record.get("system"), str):
        turns = [{"role": "system", "content": record["system"]}, *turns]
    return turns


def _answer(value: Any, name: str) -> list[dict[str, Any]]:
    value = as_json(value)
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    turns = messages_of([value] if isinstance(value, dict) else value or [])
    if not turns:
        raise BadRecord(f"{name} is missing")
    if any(turn.get("role") != "assistant" for turn in turns):
        turns = [turn for turn in turns if turn.get("role") == "assistant"][-1:] or turns
    return turns


def _liked(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return None


IMPORTER = Importer(
    "preferences",
    "preferences (better and worse answers, likes)",
    claims,
    each(
        _convert,
        {
            "asked": "input.messages, prompt, or what chosen and rejected share",
            "answer": "preferred_output, chosen, or completion",
            "worse answer": "non_preferred_output, rejected, or rejected_message",
            "liked": "label",
        },
    ),
)
