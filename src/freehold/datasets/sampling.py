"""One trace becomes one sample: what was asked, what was answered, what is right.

Covered: text answers, tool calls (kept as messages, so that a chat template writes them its own way), weights of
messages, feedback given to the gateway.
Not covered: several choices of one response; the first one counts.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, overload

import msgspec

from freehold import files
from freehold.datasets.messages import chat_message, chat_messages, message_text, refusal_of, response_message
from freehold.types.dataset import Message, RecordedAsking, Sample
from freehold.types.record import Record, content_id
from freehold.types.trace import Trace


class Recipe(Record, frozen=True, kw_only=True):
    """How samples are split and curated.

    `group_by` names a trace field, a metadata key, or a period (`hour`, `day`, `week`, `month`); None: conversation,
    else request. `personal_data` says how it was replaced (`off`, `patterns`, `library`, `library with names`).
    """

    held_out: float = 0.2
    validation: float = 0.05
    seed: int = 0
    group_by: str | None = None
    limit: int | None = None
    held_out_limit: int | None = None
    personal_data: str = "off"
    secrets: bool = False
    near_duplicates: float = 0.0


REFUSAL = "refusal"
"""The field of a sample's metadata that marks the incumbent's answer as a refusal, where the API said so."""


def answer_message(trace: Trace) -> dict[str, Any] | None:
    """The assistant's message in a trace, None when there is none."""
    return response_message(trace.response) if trace.response else None


def answer_of(trace: Trace) -> str | None:
    """The assistant's answer in a trace as text; tool calls as compact JSON; None when there is none."""
    message = answer_message(trace)
    return None if message is None else message_text(message)


def sample_of(trace: Trace, recipe: Recipe) -> Sample:
    """The sample a complete trace holds, in the group that `recipe` says.

    Raises `msgspec.ValidationError` when its messages are not as the chat API spells them.
    """
    messages = chat_messages(trace.request.get("messages") or [])
    tools, response_format = trace.request.get("tools"), trace.request.get("response_format")
    incumbent = answer_of(trace)
    completion = _completion(trace, tools)
    sample = Sample(
        id="",
        messages=messages,
        incumbent=incumbent,
        gold=trace.gold,
        group=_group(trace, recipe.group_by),
        tools=tools,
        response_format=response_format,
        trace_id=trace.id,
        metadata={**trace.metadata, REFUSAL: True} if _refused(trace) else trace.metadata,
        completion=completion,
        disliked=_disliked(trace),
        asking=RecordedAsking.of(trace.request),
    )
    return with_id(sample)


def _refused(trace: Trace) -> bool:
    message = answer_message(trace)
    return message is not None and not message.get("tool_calls") and refusal_of(message) is not None


def calls_unoffered(sample: Sample) -> bool:
    """Whether the target calls a function that is not among the tools the request offered.

    False where none were offered (a log may not keep them), or one that is not a function (a tool of the API's own).
    """
    functions = [tool.get("function") for tool in sample.tools or ()]
    if not functions or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in functions
    ):
        return False
    names = {_plain(one["name"]) for one in functions if one}
    made = [call for message in sample.answer for call in message.tool_calls or ()]
    return any(_plain(_called(call)) not in names for call in made)


def _called(call: dict[str, Any]) -> str:
    function = call.get("function")
    return str(function.get("name")) if isinstance(function, dict) else ""


def _plain(name: str) -> str:
    """A function's name as OpenAI's API allows it: dots are sent as underscores."""
    return name.replace(".", "_")


def with_id(sample: Sample) -> Sample:
    """The sample with the id its content has."""
    identity: dict[str, Any] = {"messages": [_identity(message) for message in sample.messages]}
    if sample.tools:
        identity["tools"] = sample.tools
    return msgspec.structs.replace(sample, id=content_id(identity))


def _identity(message: Message) -> dict[str, Any]:
    return {
        "role": message.role,
        "content": message.content,
        "name": message.name,
        "tool_calls": message.tool_calls,
        "tool_call_id": message.tool_call_id,
    }


def _disliked(trace: Trace) -> bool:
    """Whether the answer was disliked, by what was imported or by the thumb given to the gateway, and no right one was
    given in its place."""
    feedback = trace.metadata.get("feedback")
    thumb = feedback.get("thumb") if isinstance(feedback, dict) else None
    return trace.gold is None and (trace.desirable is False or (trace.desirable is None and thumb == "down"))


def _completion(trace: Trace, tools: list[dict[str, Any]] | None) -> tuple[Message, ...] | None:
    """The target as messages where text alone would lose something."""
    if trace.gold is not None:
        calls = _tool_calls(trace.gold) if tools else None
        return None if calls is None else (Message(role="assistant", content=None, tool_calls=calls),)
    message = answer_message(trace)
    if message is None or not (message.get("tool_calls") or message.get("weight") is not None):
        return None
    return (_message(message),)


def _message(raw: dict[str, Any]) -> Message:
    return chat_message({"role": "assistant", "content": None, **raw})


def recorded_answer(trace: Trace, sample: Sample) -> Message | None:
    """The assistant's turn as a later request of the same conversation repeats it; None where none is known."""
    message = answer_message(trace)
    if message is not None:
        return _message(message)
    return next(iter(sample.answer), None)


def _tool_calls(text: str) -> list[dict[str, Any]] | None:
    """A right answer that is a JSON list of calls, as the chat API spells them or as plain name and arguments."""
    if not text.lstrip().startswith("["):
        return None
    try:
        listed = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    calls = []
    for number, one in enumerate(listed):
        function = one.get("function", one) if isinstance(one, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return None
        arguments = function.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        calls.append(
            {
                "id": one.get("id") or f"call_{number}",
                "type": "function",
                "function": {"name": function["name"], "arguments": arguments},
            }
        )
    return calls or None


PERIODS = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
"""Names of periods that samples may be grouped by, and how one is written (UTC). They sort by time."""


def _group(trace: Trace, group_by: str | None) -> str | None:
    if group_by is None:
        return trace.conversation_id
    if group_by in {"conversation_id", "user", "id"}:
        value = getattr(trace, group_by)
    elif group_by in PERIODS:
        value = trace.at.strftime(PERIODS[group_by])
    else:
        value = trace.metadata.get(group_by)
    return None if value is None else str(value)


class SampleSpool:
    """Encoded samples in a file without a name, each found by its row. 16 bytes of memory a row."""

    def __init__(self) -> None:
        """Raises `StorageError` when the system's folder for temporary files takes none."""
        with _writing():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the spool lives)
        weakref.finalize(self, self._file.close)
        self._starts = array("q")
        self._ends = array("q")
        self._end = 0
        self._seen: mmap.mmap | None = None
        self._decoder = msgspec.json.Decoder(Sample)

    def __len__(self) -> int:
        return len(self._starts)

    def append(self, sample: Sample) -> None:
        """Put a sample into the next row. Raises `StorageError` when the disk is full."""
        body = msgspec.json.encode(sample)
        with _writing():
            self._file.write(body)
        self._starts.append(self._end)
        self._end += len(body)
        self._ends.append(self._end)

    def __getitem__(self, row: int) -> Sample:
        if self._seen is None or len(self._seen) < self._end:
            with _writing():
                self._file.flush()
            self._seen = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._decoder.decode(self._seen[self._starts[row] : self._ends[row]])


class Rows(Sequence[Sample]):
    """Some rows of a spool in an order, read when they are asked for."""

    def __init__(self, spool: SampleSpool, rows: Sequence[int]) -> None:
        self._spool = spool
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at: int | slice) -> Sample | Rows:
        if isinstance(at, slice):
            return Rows(self._spool, self._rows[at])
        return self._spool[self._rows[at]]


def _writing() -> AbstractContextManager[None]:
    return files.writing(
        "samples cannot be kept on the way into the dataset",
        hint="free some space, then run the command again",
    )
