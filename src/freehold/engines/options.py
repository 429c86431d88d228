"""Options of an engine (`ServePlan.options`): known names and types, checked before a start."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

import msgspec

from freehold.errors import UsageError

Options = TypeVar("Options", bound=msgspec.Struct)


def read(options: dict[str, Any], kind: type[Options], engine: str) -> Options:
    """Options as a struct. Raises `UsageError` for an unknown name (with the nearest) or a wrong type."""
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"engine {engine} has no option {name!r}",
                hint=f"did you mean {near[0]}?" if near else f"options: {', '.join(sorted(known))}",
            )
    try:
        return msgspec.convert(options, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"engine {engine}: {error}") from None
