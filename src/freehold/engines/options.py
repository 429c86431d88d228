"""Options of an engine (`ServePlan.options`): known names and types, checked before a start."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from freehold.errors import UsageError
from freehold.types import strict

Options = TypeVar("Options", bound=msgspec.Struct)


def read(options: dict[str, Any], kind: type[Options], engine: str) -> Options:
    """Options as a struct. Raises `UsageError` for an unknown name (with the nearest) or a wrong type."""
    return strict.read(options, kind, f"engine {engine}", noun="option", error=UsageError)
