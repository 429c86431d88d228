"""What every importer yields, and what a record must hold to be of use.

Covered: messages as OpenAI's chat API spells them; roles and their order; tool calls whose arguments are JSON; tool
results that answer a call; answers that say something.
Not covered: whether an answer is right.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec

from freehold.datasets.messages import modern
from freehold.types.record import Record
from freehold.types.trace import Usage
from freehold.wire.usage import read_usage

T = TypeVar("T")


class Imported(Record, frozen=True, kw_only=True):
    """One record of a file in the common shape: a chat request and its answer.

    `at` is when it was asked, in UTC; `desirable` is as in `Trace`; `file` is the file's name within a
    folder that was imported as a whole.
    """

    line: int
    request: dict[str, Any]
    response: dict[str, Any] | None
    id: str | None = None
    gold: str | None = None
    conversation_id: str | None = None
    user: str | None = None
    metadata: dict[str, Any] = {}
    at: datetime | None = None
    usage: Usage | None = None
    total_ms: float | None = None
    desirable: bool | None = None
    file: str | None = None


class RejectedRecord(Record, frozen=True, kw_only=True):
    """One record that could not be used. `text` is the record as it stood (the first 2,000 characters)."""

    line: int
    reason: str
    text: str
    file: str | None = None


class PassedOver(Record, frozen=True, kw_only=True):
    """A record that is sound but of no use here: a span that is not a call of a model, an embedding."""

    line: int
    reason: str


RecordOutcome = Imported | RejectedRecord | PassedOver


class BadRecord(Exception):
    """Why one record cannot be used."""


class NotWanted(Exception):
    """Why one record is passed over."""


class _Function(msgspec.Struct):
    name: str
    arguments: Any = None


class _Call(msgspec.Struct):
    function: _Function
    id: Any = None


class _Turn(msgspec.Struct):
    """A message as the chat API spells it."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Any] | None = None
    tool_calls: list[_Call] | None = None
    refusal: Any = None
    weight: float | None = None
    tool_call_id: Any = None


def check_exchange(
    messages: Any, answer: dict[str, Any] | None, *, has_gold: bool = False
) -> list[dict[str, Any]]:
    """The messages of a request, with old function calls spelled as tool calls. Raises `BadRecord`."""
    if isinstance(messages, str) and messages.strip():
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, list) or not messages:
        raise BadRecord("messages is missing or empty")
    given = modern(messages)
    before: str | None = None
    open_calls: set[str] = set()
    turns = _typed(given, list[_Turn], "messages")
    for number, turn in enumerate(turns):
        where = f"messages[{number}]"
        _check(turn, where)
        if turn.role == before == "assistant":
            raise BadRecord(f"{where}: roles out of order: assistant after assistant")
        if turn.role == "assistant":
            open_calls = {str(call.id) for call in turn.tool_calls or ()}
        elif turn.role == "tool":
            if before not in ("assistant", "tool") or not open_calls:
                raise BadRecord(f"{where}: roles out of order: a tool's result, but no call before it")
            if turn.tool_call_id is not None and str(turn.tool_call_id) not in open_calls:
                raise BadRecord(f"{where}: result of tool call {turn.tool_call_id}, which was not made")
        elif turn.role in ("system", "developer") and before in ("assistant", "tool") and open_calls:
            # An instruction in mid-conversation is allowed; between a call and its result it is not.
            raise BadRecord(f"{where}: roles out of order: {turn.role} after {before}")
        else:
            open_calls = set()
        before = turn.role
    if not any(turn.role == "user" for turn in turns):
        raise BadRecord("no user message before the assistant's answer")
    if before == "assistant" and (answer is not None or has_gold):
        raise BadRecord("roles out of order: the request ends with an assistant message")
    if answer is not None:
        _check(_typed(answer, _Turn, "answer"), "the answer")
    return given


def _typed(value: Any, kind: type[T], name: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, _, path = str(error).rstrip("`").partition(" - at `$")
        raise BadRecord(f"{name}{path}: {what}") from None


def _check(turn: _Turn, where: str) -> None:
    """What no type says of one message. Raises `BadRecord`."""
    says = bool(turn.content.strip() if isinstance(turn.content, str) else turn.content)
    if turn.role == "assistant":
        if not (turn.tool_calls or says or turn.refusal):
            raise BadRecord(f"{where}: the assistant's message is empty")
    elif turn.content is None and not turn.tool_calls and turn.role not in ("tool", "function"):
        raise BadRecord(f"{where} has no content")  # a function may give nothing back
    for call in turn.tool_calls or ():
        if isinstance(call.function.arguments, str):
            try:
                msgspec.json.decode(call.function.arguments or "{}")
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise BadRecord(f"{where}: arguments of {call.function.name} are not JSON: {error}") from None


def completion(
    message: dict[str, Any], *, finish: str | None = None, model: str | None = None
) -> dict[str, Any]:
    """A chat completion with one choice."""
    usual = "tool_calls" if message.get("tool_calls") else "stop"
    body: dict[str, Any] = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish or usual}],
    }
    return body | ({"model": model} if model else {})


def as_json(value: Any) -> Any:
    """What a cell or a field holds: text that is a JSON object or list is read, everything else stays."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return value
    return value


def text_or_none(value: Any) -> str | None:
    """A name or an id as text."""
    return None if value is None or value == "" else str(value)


def answer_text(value: Any) -> str | None:
    """An answer as text: strings as they are, structures as compact JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def as_object(value: Any) -> dict[str, Any]:
    """`value` (or the JSON text it is) where it is an object, else an empty one."""
    value = as_json(value)
    return value if isinstance(value, dict) else {}


def moment(value: Any) -> datetime | None:
    """A time in UTC from ISO 8601, ``YYYY-MM-DD HH:MM:SS`` (taken as UTC) or a Unix time; None for anything else."""
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, str) and value.strip():
            found = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        elif isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            seconds = float(value)
            while seconds > 1e11:  # milliseconds, microseconds, nanoseconds
                seconds /= 1000
            found = datetime.fromtimestamp(seconds, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    found = found.astimezone(UTC)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


def answered_at(response: Any) -> datetime | None:
    """When a response body says that it was made (OpenAI's ``created``, the Responses API's ``created_at``)."""
    if not isinstance(response, dict):
        return None
    return moment(response.get("created") or response.get("created_at"))


def counted(usage: Any) -> Usage | None:
    """Token counts under the names that APIs and exports use, also as JSON text; None where there are none."""
    return read_usage(as_json(usage))
