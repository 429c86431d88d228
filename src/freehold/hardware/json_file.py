"""Small JSON files from strangers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from freehold.errors import InputError


def read_object(file: Path, limit: int) -> dict[str, Any]:
    """The JSON object in a file. Raises `InputError` when it is missing, over `limit` bytes, or something else."""
    try:
        if file.stat().st_size > limit:
            raise InputError("too large for a config", path=str(file))
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", path=str(file)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", path=str(file)) from None
    if not isinstance(value, dict):
        raise InputError("not a JSON object", path=str(file))
    return value
