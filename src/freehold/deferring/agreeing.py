"""Agreement of several samples: how many further answers of a model, drawn with chance in them, say what its first did.

Wang et al. 2023 (arXiv 2203.11171) vote over such samples; here their agreement is read as how sure the first is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

TEMPERATURE = 0.7
"""Of further samples, where the application's own temperature leaves nothing to chance."""
_ONLY_THE_FIRST = ("logprobs", "top_logprobs", "stream", "stream_options")


def resampled(body: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A chat request for the further sample of this number (from 1): with the application's temperature or 0.7, a seed
    of its own, and answered as a whole."""
    kept = {name: value for name, value in body.items() if name not in _ONLY_THE_FIRST}
    own, seed = _number(body.get("temperature")), _number(body.get("seed"))
    return {**kept, "temperature": own if own > 0 else TEMPERATURE, "seed": int(seed) + number}


def agreement(first: str | None, further: Sequence[str | None]) -> float | None:
    """The share of further answers that say what the first does; None where there is no first or no further one.

    JSON is compared by value, calls by name and arguments, text by its words.
    """
    if first is None or not further:
        return None
    said = _comparable(first)
    same = [one for one in further if one is not None and _comparable(one) == said]
    return len(same) / len(further)


def said_in(completion: Mapping[str, Any]) -> str | None:
    """What a chat completion says, as evaluations keep it: its text, or its calls as JSON; None where it was cut, or
    says nothing."""
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return None
    if choice.get("finish_reason") not in ("stop", "tool_calls", "function_call"):
        return None
    calls = message.get("tool_calls")
    if calls:
        return json.dumps(calls)
    content = message.get("content")
    return content if isinstance(content, str) and content else None


def _comparable(text: str) -> Any:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return " ".join(text.split())
    if isinstance(read, list) and read and all(isinstance(one, dict) and "function" in one for one in read):
        read = [_call(one["function"]) for one in read]
    return json.dumps(read, sort_keys=True)


def _call(function: Any) -> Any:
    """A call without its id, which differs each time, and its arguments by value."""
    if not isinstance(function, dict):
        return function
    try:
        return [function.get("name"), json.loads(function.get("arguments") or "{}")]
    except (TypeError, ValueError, RecursionError):
        return [function.get("name"), function.get("arguments")]


def _number(value: Any) -> float:
    """The number; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return value
