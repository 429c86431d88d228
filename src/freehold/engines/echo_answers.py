"""What echo can be told (`ServePlan.options`), and what it answers: a pure function of the request, so that two runs
agree to the byte.
"""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold import files
from freehold.rows.reading import records


class EchoRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answer `answer` when the last user message contains `contains` or matches `regex`; `model` narrows it."""

    answer: str
    contains: str | None = None
    regex: str | None = None
    model: str | None = None

    def matches(self, text: str, model: str) -> bool:
        if self.model is not None and self.model != model:
            return False
        if self.contains is not None and self.contains not in text:
            return False
        return self.regex is None or re.search(self.regex, text) is not None


class EchoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`answers` maps a last user message to its answer; `answers_file` is the same as a JSON object, or JSON
    lines of ``{"input": …, "answer": …}``. `rules` are tried in order after that, then `default`, then the
    message itself comes back.

    `delay_ms` passes before the first byte, `token_delay_ms` for each piece of the answer, streamed or not.
    `failure_rate` is the share of requests answered with `failure_status` (a fixed sequence from `seed`).
    With `in_process` the server lives in the caller's event loop instead of a child process. `crash_on` ends the child
    as a crash would, without an answer, at a last user message that contains it.
    """

    answers: dict[str, str] = {}
    answers_file: str | None = None
    rules: tuple[EchoRule, ...] = ()
    default: str | None = None
    delay_ms: float = 0.0
    token_delay_ms: float = 0.0
    failure_rate: float = 0.0
    failure_status: int = 500
    seed: int = 0
    in_process: bool = False
    crash_on: str | None = None


class _Answer(msgspec.Struct):
    input: Any
    answer: Any


def read_answers(path: str) -> dict[str, str]:
    """Answers from a JSON object or JSON lines. Raises `InputError` with the line."""
    with files.reading(path):
        data = Path(path).read_bytes()
    try:
        return msgspec.json.decode(data, type=dict[str, str])
    except msgspec.DecodeError:
        pass  # not one object: JSON lines
    lines = records(Path(path), _Answer, "an answer with 'input' and 'answer'", container="json lines")
    return {str(one.input): str(one.answer) for _, one in lines}


EMBEDDING_SIZE = 64
_TOKEN = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")


class EchoReply(NamedTuple):
    """An answer: its pieces as they would be streamed, or one tool call."""

    pieces: list[str]
    finish_reason: str
    tool_call: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def tokens(text: str) -> list[str]:
    """Pieces that join to `text`: words and marks with the space before them. Echo's idea of a token."""
    return _TOKEN.findall(text)


def text_of(content: Any) -> str:
    """The text of a message's content, which may be a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return ""


def prompt_tokens(messages: list[dict[str, Any]]) -> int:
    """Tokens of a conversation: those of its texts, and three for each message's frame."""
    return sum(3 + len(tokens(text_of(message.get("content")))) for message in messages)


def last_user_text(messages: list[dict[str, Any]]) -> str:
    """The text of the last message of the user; empty where there is none."""
    return next(
        (text_of(message.get("content")) for message in reversed(messages) if message["role"] == "user"), ""
    )


def reply_to(body: dict[str, Any], options: EchoOptions, answers: dict[str, dict[str, str]]) -> EchoReply:
    """The answer to a chat request. `answers` maps a model's name to its table of answers."""
    model = str(body.get("model"))
    asked = last_user_text(body["messages"])
    if (call := _tool_call(body)) is not None:
        return EchoReply([], "tool_calls", call)
    text = _text(asked, model, options, answers)
    if (schema := _schema(body)) is not None and not _satisfies(text, schema):
        text = msgspec.json.encode(instance(schema)).decode()
    return _cut(text, body)


def _text(asked: str, model: str, options: EchoOptions, answers: dict[str, dict[str, str]]) -> str:
    for table in (answers.get(model, {}), answers.get("", {})):
        if asked in table:
            return table[asked]
    for rule in options.rules:
        if rule.matches(asked, model):
            return rule.answer
    return options.default if options.default is not None else asked


def _cut(text: str, body: dict[str, Any]) -> EchoReply:
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    pieces = tokens(text)
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    if isinstance(most, int) and len(pieces) > most:
        return EchoReply(pieces[:most], "length")
    return EchoReply(pieces, "stop")


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_object":
        return {"type": "object"}
    if wanted.get("type") == "json_schema":
        schema: dict[str, Any] = (wanted.get("json_schema") or {}).get("schema") or {"type": "object"}
        return schema
    return None


def _satisfies(text: str, schema: dict[str, Any]) -> bool:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return isinstance(value, dict) and all(key in value for key in schema.get("required", []))


def _tool_call(body: dict[str, Any]) -> dict[str, Any] | None:
    """A call of the named tool (or the first) when the request demands one."""
    choice = body.get("tool_choice")
    functions = [tool["function"] for tool in body.get("tools") or [] if tool.get("type") == "function"]
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        functions = [function for function in functions if function.get("name") == name]
    elif choice != "required":
        return None
    if not functions:
        return None
    arguments = instance(functions[0].get("parameters") or {"type": "object"})
    return {"name": functions[0]["name"], "arguments": msgspec.json.encode(arguments).decode()}


def instance(schema: dict[str, Any]) -> Any:
    """The plainest value a JSON schema allows (first enum value, empty text, zero, required keys only)."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return instance(schema[key][0])
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {key: instance(properties.get(key, {"type": "string"})) for key in schema.get("required", [])}
    if kind == "array":
        return [instance(schema.get("items", {})) for _ in range(schema.get("minItems", 0))]
    return {"string": "", "integer": 0, "number": 0, "boolean": False}.get(kind)


def embedding(text: str) -> list[float]:
    """A unit vector of `EMBEDDING_SIZE` that depends on the text alone."""
    data = hashlib.shake_256(text.encode()).digest(EMBEDDING_SIZE)
    vector = [byte - 127.5 for byte in data]
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]
