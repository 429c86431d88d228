"""What is read from source."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Word(NamedTuple):
    """A string or an imported name. Lines and columns count from 1."""

    text: str
    line: int
    column: int
    kind: Literal["string", "import"]
