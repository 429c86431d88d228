"""Recorded sessions: what was asked, decided, called and returned, put together from the samples of one group.

Covered: histories that grow from request to request, results of tools in any place, several user messages in a row,
examples in the prompt (what stands before the first recorded decision is given, not played).
Not covered: branches of one session; the longest way counts, and what lies off it is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from freehold.types.asking import RecordedAsking
from freehold.types.dataset import Message, Sample


class RecordedDecision(NamedTuple):
    """One recorded turn of the assistant: its answer as text (calls as JSON), and the message it was."""

    answer: str
    message: Message


class RecordedSession(NamedTuple):
    """A recorded session. `opening` are the messages before the first decision; `users` what came from outside after
    each text answer, in order; `asking` how each decision was asked for, where that was recorded."""

    id: str
    sample: Sample
    opening: tuple[Message, ...]
    decisions: tuple[RecordedDecision, ...]
    users: tuple[tuple[Message, ...], ...]
    transcript: tuple[Message, ...]
    asking: tuple[RecordedAsking | None, ...]

    @property
    def final_answer(self) -> str:
        """What was answered last."""
        return self.decisions[-1].answer


class RecordedSessions(NamedTuple):
    """The sessions of some samples, and how many samples lie off the longest way of theirs."""

    sessions: tuple[RecordedSession, ...]
    off_the_way: int


def session_id(sample: Sample) -> str:
    """Which session a sample is of: its group, else itself."""
    return sample.group or f"sample {sample.id}"


def sessions_of(samples: Iterable[Sample]) -> RecordedSessions:
    """Samples of one group are a session; one without a group is one by itself. In the order of first appearance."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.answer:
            groups.setdefault(session_id(sample), []).append(sample)
    found, off = [], 0
    for name, members in groups.items():
        last = max(members, key=lambda one: len(one.messages))
        whole = [_plain(one) for one in last.messages]
        chain = [
            one for one in members if [_plain(each) for each in one.messages] == whole[: len(one.messages)]
        ]
        off += len(members) - len(chain)
        found.append(_session(name, last, chain))
    return RecordedSessions(tuple(found), off)


def answer_text(message: Message) -> str:
    """An assistant's message as one text: calls as compact JSON, as answers are kept."""
    if message.tool_calls:
        return msgspec.json.encode(message.tool_calls).decode()
    if isinstance(message.content, list):
        return "".join(part.get("text") or "" for part in message.content if isinstance(part, dict))
    return message.content if isinstance(message.content, str) else ""


def _session(name: str, last: Sample, chain: Sequence[Sample]) -> RecordedSession:
    first = min(chain, key=lambda one: len(one.messages))
    transcript = (*last.messages, *last.answer)
    opening = first.messages
    decisions: list[RecordedDecision] = []
    users: list[tuple[Message, ...]] = []
    said: list[Message] = []
    for message in transcript[len(opening) :]:
        if message.role == "assistant":
            if said:
                users.append(tuple(said))
                said = []
            decisions.append(RecordedDecision(answer_text(message), message))
        elif message.role not in ("tool", "function"):
            said.append(message)
    asked = {len(one.messages): one.asking for one in chain}
    places = [
        place
        for place, message in enumerate(transcript)
        if place >= len(opening) and message.role == "assistant"
    ]
    asking = tuple(asked.get(place, last.asking) for place in places)
    return RecordedSession(name, last, opening, tuple(decisions), tuple(users), transcript, asking)


def _plain(message: Message) -> Any:
    """A message without what differs between two recordings of it: ids of calls, weights, absent fields."""
    calls = [
        (function.get("name"), function.get("arguments"))
        for call in message.tool_calls or ()
        if isinstance(function := call.get("function"), dict)
    ]
    return message.role, message.content or None, calls
