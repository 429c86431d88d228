"""Several signals of an answer, and what the answer says, joined into one. A gateway reads it, so without numpy.

What was answered counts because some answers are easy and others are not, and because the incumbent has weak spots of
its own. Parts of answers are known by their hashes alone: a rule holds no customer's words.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from freehold.types.deferral import Combination, SignalName

LONGEST_PART = 64
"""In characters. A longer text is written, not chosen: no other answer will be the same."""
MOST_PARTS = 32
_EDGE = 1e-9


def answer_parts(output: str | None) -> tuple[str, ...]:
    """Hashes of what an answer says: each value of a JSON object with its name, each text of a list, the names of
    called functions, or a short text as a whole. Empty where it says nothing that another answer could say again."""
    text = (output or "").strip()
    if not text:
        return ()
    if text[0] in "{[":
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            return ()
        named = [f"{name}={_plain(value)}" for name, value in _entries(read) if _plain(value) is not None]
        return tuple(_hash(one) for one in named[:MOST_PARTS] if len(one) <= 2 * LONGEST_PART)
    return (_hash(text),) if len(text) <= LONGEST_PART else ()


def call_parts(names: Sequence[str]) -> tuple[str, ...]:
    """The same of an answer that calls functions."""
    return tuple(_hash(f"call={name}") for name in names[:MOST_PARTS])


def combined(
    combination: Combination, signals: Mapping[SignalName, float], parts: Sequence[str]
) -> float | None:
    """The joined signal, a probability before calibration; None where a signal that it needs is missing."""
    total = combination.intercept
    for place, name in enumerate(combination.signals):
        value = signals.get(name)
        if value is None or math.isnan(value):
            return None
        scaled = (as_read(name, value) - combination.centre[place]) / combination.scale[place]
        total += combination.weights[place] * scaled
    total += sum(combination.answers.get(part, 0.0) for part in set(parts))
    return 1 / (1 + math.exp(-min(700.0, max(-700.0, total))))


def as_read(name: SignalName, value: float) -> float:
    """A signal as it is weighed: the log-odds of a probability, all else as it is."""
    if name not in ("probability", "agreement"):
        return value
    p = min(1 - _EDGE, max(_EDGE, value))
    return math.log(p / (1 - p))


def _entries(read: Any) -> list[tuple[str, Any]]:
    if isinstance(read, dict):
        return list(read.items())
    found: list[tuple[str, Any]] = []
    for one in read if isinstance(read, list) else ():
        called = one.get("function") if isinstance(one, dict) else None
        if isinstance(called, dict):
            found.append(("call", called.get("name")))
        elif isinstance(one, str):
            found.append(("", one))
    return found


def _plain(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return json.dumps(value) if value is None or isinstance(value, bool | int | float) else None


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
