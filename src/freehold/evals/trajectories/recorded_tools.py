"""The tools of a session as it was recorded: a call is answered by what was returned then, and nothing is run.

A call with the recorded arguments gets the recorded result; the same call again gets the next one recorded for it, the
last one from then on. Other arguments get the result of the nearest recorded call of that tool, from a likeness of
`LEAST_LIKENESS` on. Below that there is none, and the model is told so.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from freehold.evals.tool_calls import BrokenCall, Call, declared_parameters, plain_name, read_calls
from freehold.evals.turns.arguments import difference
from freehold.types.dataset import Message

LEAST_LIKENESS = 0.7
"""Mean likeness of the arguments. Texts of several words are compared by their words; anything else is alike or not:
an order with another number is another order."""
NO_RESULT = "No result of this call is recorded."

How = Literal["exact", "nearest", "miss", "end"]


class ToolResult(NamedTuple):
    """What a call returned. ``nearest`` is of a call alike by `likeness`; at an ``end`` the recording stops with this
    very call, so that what it returned is not known."""

    how: How
    content: Any
    likeness: float = 1.0


class _Recorded(NamedTuple):
    call: Call
    content: Any
    returned: bool


class RecordedTools:
    """The recorded calls of one session and what they returned; remembers which results were given out."""

    def __init__(self, transcript: Sequence[Message], tools: list[dict[str, Any]] | None) -> None:
        self._declared = declared_parameters(tools)
        results: dict[str | None, Any] = {
            one.tool_call_id: one.content for one in transcript if one.role == "tool" and one.tool_call_id
        }
        self._recorded: list[_Recorded] = []
        for message in transcript:
            for raw in message.tool_calls or ():
                call = _readable(raw)
                if call is not None:
                    id = raw.get("id")
                    self._recorded.append(_Recorded(call, results.get(id), id in results))
        self._given: dict[int, int] = {}

    def answer(self, call: Call) -> ToolResult:
        """What the recording says to a call."""
        of_tool = [one for one in self._recorded if plain_name(one.call.name) == plain_name(call.name)]
        schema = self._declared.get(plain_name(call.name), {})
        exact = [one for one in of_tool if difference(call.arguments, one.call.arguments, schema) is None]
        if exact:
            return self._next(exact)
        alike = [(likeness(call.arguments, one.call.arguments), one) for one in of_tool if one.returned]
        best, nearest = max(alike, key=lambda pair: pair[0], default=(0.0, None))
        if nearest is None or best < LEAST_LIKENESS:
            return ToolResult("miss", NO_RESULT, best)
        return ToolResult("nearest", nearest.content, best)

    def _next(self, exact: list[_Recorded]) -> ToolResult:
        key = id(exact[0])
        place = self._given.get(key, 0)
        self._given[key] = place + 1
        one = exact[min(place, len(exact) - 1)]
        return ToolResult("exact", one.content) if one.returned else ToolResult("end", None)


def likeness(given: Any, recorded: Any) -> float:
    """How alike two arguments are, from 0 to 1: the mean over all keys of either."""
    if isinstance(given, dict) and isinstance(recorded, dict):
        keys = given.keys() | recorded.keys()
        if not keys:
            return 1.0
        return sum(likeness(given.get(key), recorded.get(key)) for key in keys) / len(keys)
    if isinstance(given, str) and isinstance(recorded, str):
        one, other = given.casefold().split(), recorded.casefold().split()
        if one == other:
            return 1.0
        if len(one) < 2 or len(other) < 2:
            return 0.0
        return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return float(type(given) is type(recorded) and given == recorded)


def _readable(raw: dict[str, Any]) -> Call | None:
    try:
        calls = read_calls(msgspec.json.encode([raw]).decode())
    except BrokenCall:
        return None
    return calls[0] if calls else None
