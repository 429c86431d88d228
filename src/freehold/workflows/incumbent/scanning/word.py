"""What is read from source."""

from __future__ import annotations

from typing import Literal, NamedTuple

from freehold.catalog.retirements import HOLE

SHOWN_HOLE = "{…}"


class Word(NamedTuple):
    """A string or an imported name. Lines and columns count from 1. In `text`, `HOLE` stands for each part that is
    known only when the program runs."""

    text: str
    line: int
    column: int
    kind: Literal["string", "import"]


def shown(text: str) -> str:
    """A text with holes as it is printed."""
    return text.replace(HOLE, SHOWN_HOLE)
