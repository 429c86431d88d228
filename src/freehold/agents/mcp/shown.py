"""What an agent gets to see of a record: all of its figures, and of customers' words none unless the user allows it.

What a tool returns goes to the model that the agent asks, which mostly is another company's.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

MOST_ITEMS = 40
MOST_CHARACTERS = 2_000
PRIVATE = frozenset({"disagreements", "first_rejects", "first_reject", "first", "items"})
"""Fields that hold what people wrote: questions and answers of traffic, rejected lines of a log."""


def document(value: Any, *, with_words: bool = False) -> dict[str, Any]:
    """A record, a list of records or plain values as a JSON object. Long lists and texts are cut, and `left_out` says
    where, by path and count; so it does for customers' words, unless `with_words`."""
    plain = msgspec.to_builtins(value)
    left_out: dict[str, Any] = {}
    if isinstance(plain, list | tuple):
        plain = {"list": plain}
    elif not isinstance(plain, dict):
        plain = {"value": plain}
    made = _short(plain, "", left_out, with_words)
    assert isinstance(made, dict)
    if left_out:
        made["left_out"] = left_out
    return made


def _short(value: Any, path: str, left_out: dict[str, Any], with_words: bool) -> Any:
    if isinstance(value, str):
        if len(value) <= MOST_CHARACTERS:
            return value
        left_out[path] = f"{len(value) - MOST_CHARACTERS:,} characters"
        return value[:MOST_CHARACTERS]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    if isinstance(value, list | tuple):
        if len(value) > MOST_ITEMS:
            left_out[path] = f"{len(value) - MOST_ITEMS:,} of {len(value):,}"
        return [_short(one, f"{path}[{n}]", left_out, with_words) for n, one in enumerate(value[:MOST_ITEMS])]
    if isinstance(value, dict):
        made = {}
        for name, one in value.items():
            inner = f"{path}.{name}" if path else str(name)
            if name in PRIVATE and one and not with_words:
                left_out[inner] = "words of traffic; the user can allow them: freehold mcp --with-words"
                continue
            made[name] = _short(one, inner, left_out, with_words)
        return made
    return value
