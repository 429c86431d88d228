"""Replace what looks like a person's data or a secret, before anything is written.

Covered: what `freehold.privacy.patterns` finds, in every string of a request or answer.
Not covered: names, postal addresses, dates of birth. No pattern finds these; choose ``pii`` with a model for names,
or ``off``, if they may not be stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from freehold.gateway.config import Capture
from freehold.privacy import patterns
from freehold.privacy.finds import Find, replaced

Redactor = Callable[[Any], Any]


def redact_text(text: str) -> str:
    """The text with each find replaced by its kind, ``<EMAIL>`` for example."""
    found = patterns.find(text)
    return replaced(text, found, by_kind) if found else text


def by_kind(find: Find, _text: str) -> str:
    """``<EMAIL>``: a find shown by its kind alone."""
    return f"<{find.kind}>"


def redact(value: Any) -> Any:
    """A JSON value with every string in it redacted; keys stay."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: redact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [redact(inner) for inner in value]
    return value


def redactor_of(capture: Capture) -> Redactor | None:
    """What replaces people's data in a JSON value before it is written; None where traces are kept as they are.

    Raises `MissingExtraError` for ``pii`` without its extra.
    """
    if capture == "patterns":
        return redact
    if capture == "pii":
        # Late: the library takes seconds to load, and only the recorder wants it.
        from freehold.gateway.pii import LIBRARY

        LIBRARY.load()
        return LIBRARY.redact
    return None
