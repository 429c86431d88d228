"""Redaction by a library: what `freehold.privacy.library` finds (extra ``pii``), replaced by its kind."""

from __future__ import annotations

from typing import Any

from freehold.gateway.redaction import by_kind
from freehold.privacy import library
from freehold.privacy.finds import replaced


class Library(library.PresidioLibrary):
    """The library's finder, as a redactor of JSON values."""

    def redact_text(self, text: str) -> str:
        """The text with each find replaced by its kind."""
        found = self.find(text)
        return replaced(text, found, by_kind) if found else text

    def redact(self, value: Any) -> Any:
        """A JSON value with every string in it redacted; keys stay."""
        if isinstance(value, str):
            return self.redact_text(value) if len(value) > 3 else value
        if isinstance(value, dict):
            return {key: self.redact(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.redact(inner) for inner in value]
        return value


LIBRARY = Library()
