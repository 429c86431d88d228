"""The Python files of the source, read once for the tests that look at how it is written."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[1] / "src" / "freehold"


class SourceFile(NamedTuple):
    """A Python file of the source. `place` is its path below ``src/freehold``."""

    place: str
    text: str
    tree: ast.Module


@cache
def source_files() -> tuple[SourceFile, ...]:
    return tuple(
        SourceFile(path.relative_to(SOURCE).as_posix(), text, ast.parse(text))
        for path in sorted(SOURCE.rglob("*.py"))
        for text in [path.read_text()]
    )
