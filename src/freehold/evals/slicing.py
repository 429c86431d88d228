"""Which slice an item is in, by what the task declares before any score is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from freehold.errors import ConfigError
from freehold.evals.json_text import NotJson, parse_json
from freehold.types.dataset import Sample

_LONGEST_LABEL = 60


def slice_values(name: str, samples: Sequence[Sample]) -> list[str | None]:
    """The value of one declared slice for each sample, None where a sample is in none.

    ``label``: the right answer, where it is short. ``gold.PATH``: a field of a JSON answer. ``length``: the
    question's length in characters, in thirds (``short``, ``medium``, ``long``). Anything else: a field of
    the sample's metadata (language, user …). Raises `ConfigError` when no sample has it.
    """
    if name == "length":
        return _lengths(samples)
    if name == "label":
        values = [_short(sample.gold) for sample in samples]
    elif name.startswith("gold."):
        values = [_field(sample.gold, name.removeprefix("gold.")) for sample in samples]
    else:
        values = [_text(sample.metadata.get(name)) for sample in samples]
    if samples and all(value is None for value in values):
        known = sorted({key for sample in samples for key in sample.metadata})
        raise ConfigError(
            f"slice {name}: no held-out sample has it",
            hint=f"known: {', '.join([*known, 'label', 'length', 'gold.FIELD'])}",
        )
    return values


def question(sample: Sample) -> str:
    """What was asked last, as text."""
    for message in reversed(sample.messages):
        if message.role == "user":
            return _text_of(message.content)
    return _text_of(sample.messages[-1].content) if sample.messages else ""


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _lengths(samples: Sequence[Sample]) -> list[str | None]:
    lengths = [len(question(sample)) for sample in samples]
    order = sorted(lengths)
    if not order:
        return []
    if order[0] == order[-1]:
        return [None] * len(order)  # all alike: there is nothing to slice by
    low, high = order[len(order) // 3], order[2 * len(order) // 3]
    return [
        f"short (under {low} characters)"
        if length < low
        else f"medium ({low} to {high - 1})"
        if length < high
        else f"long (from {high})"
        for length in lengths
    ]


def _short(gold: str | None) -> str | None:
    return gold.strip() if gold is not None and 0 < len(gold.strip()) <= _LONGEST_LABEL else None


def _field(gold: str | None, path: str) -> str | None:
    if gold is None:
        return None
    try:
        value = parse_json(gold)
    except NotJson:
        return None
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return "null" if value is None else _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) and str(value) else None
