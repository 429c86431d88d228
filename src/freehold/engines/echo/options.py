"""What the echo engine can be told (`ServePlan.options`), and where its answers come from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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
