"""Replace what looks like a person's data or a secret, before anything is written.

Covered: what `freehold.privacy.patterns` finds, in every string, field's name and long number of a request or answer.
Not covered: names, postal addresses. No pattern finds these; choose ``pii`` with a model for names,
or ``off``, if they may not be stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from freehold.gateway.config import Capture
from freehold.privacy import patterns
from freehold.privacy.finds import Find, replaced
from freehold.privacy.library import LIBRARY

Redactor = Callable[[Any], Any]
_LONG_NUMBER = 10**12
"""A payment card has at least 13 digits."""
_SHORTEST_FOR_LIBRARY = 4
"""The shortest text that is given to the library: an email address has at least six."""


def redact_text(text: str) -> str:
    """The text with each find of the patterns replaced by its kind, ``<EMAIL>`` for example."""
    return _replaced(text, patterns.find(text))


def redact(value: Any) -> Any:
    """A JSON value with every string in it redacted by the patterns."""
    return _mapped(value, redact_text)


def redactor_of(capture: Capture) -> Redactor | None:
    """What replaces people's data in a JSON value before it is written; None where traces are kept as they are.

    Raises `MissingExtraError` for ``pii`` without its extra.
    """
    if capture == "patterns":
        return redact
    if capture == "pii":
        LIBRARY.load()
        return lambda value: _mapped(value, _redact_by_library)
    return None


def _redact_by_library(text: str) -> str:
    return _replaced(text, LIBRARY.find(text)) if len(text) >= _SHORTEST_FOR_LIBRARY else text


def _replaced(text: str, finds: list[Find]) -> str:
    return replaced(text, finds, _by_kind) if finds else text


def _by_kind(find: Find, _text: str) -> str:
    """``<EMAIL>``: a find shown by its kind alone."""
    return f"<{find.kind}>"


def _mapped(value: Any, redact_text: Callable[[str], str]) -> Any:
    """A JSON value with `redact_text` of every string in it. Fields whose names become the same are numbered."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for key, inner in value.items():
            name = key if key.isalpha() else redact_text(key)
            if name in made:
                name = f"{name} {len(made)}"
            made[name] = _mapped(inner, redact_text)
        return made
    if isinstance(value, list):
        return [_mapped(inner, redact_text) for inner in value]
    if isinstance(value, int) and value >= _LONG_NUMBER:
        text = str(value)
        redacted = redact_text(text)
        return value if redacted == text else redacted
    return value
