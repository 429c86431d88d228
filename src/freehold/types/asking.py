"""How an application asks: the parameters of a recorded request besides what it says."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from freehold.types.record import Record


class RecordedAsking(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of a recorded chat request, as OpenAI's API spells them; None where it named none.

    They belong to how a question is asked, never to which question it is. `max_tokens` is also what newer models call
    ``max_completion_tokens``.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    @classmethod
    def of(cls, request: dict[str, Any]) -> RecordedAsking | None:
        """What a recorded request said; None where it said nothing. A value the API would not take is left out."""
        told: dict[str, Any] = {}
        for name, kind in _kinds():
            value = request.get(name)
            if value is None and name == "max_tokens":
                value = request.get("max_completion_tokens")
            if value is None:
                continue
            try:
                told[name] = msgspec.convert(value, kind)
            except msgspec.ValidationError:
                continue
        return cls(**told) if told else None

    @property
    def demands_a_call(self) -> bool:
        """Whether a tool must be called: any, or the one that is named."""
        choice = self.tool_choice
        if not isinstance(choice, dict):
            return choice == "required"
        allowed = choice.get("allowed_tools", choice)
        mode = allowed.get("mode") if isinstance(allowed, dict) else None
        return mode == "required" or bool(choice.get("function") or choice.get("name"))

    @property
    def said(self) -> dict[str, Any]:
        """The parameters it names."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


@cache
def _kinds() -> tuple[tuple[str, Any], ...]:
    """The parameters and their types. Kept: msgspec reads the annotations again each time, half a millisecond for each
    record of a log."""
    return tuple((field.name, field.type) for field in msgspec.structs.fields(RecordedAsking))


def demands_a_call(request: dict[str, Any]) -> bool:
    """Whether a recorded request offers tools and says that one of them must be called."""
    asking = RecordedAsking.of(request) if request.get("tools") else None
    return asking is not None and asking.demands_a_call
