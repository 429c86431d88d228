"""What a screen of the console can be asked for: the parameters of its address, with their types and ranges."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from freehold.types.record import Record

CURSOR_LENGTH_MAX = 200
"""A cursor of keyset paging is an id or a place, never a text of a person."""

Cursor = Annotated[str, Meta(max_length=CURSOR_LENGTH_MAX)]
Place = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A place in a table or a file, none of which has a higher one."""
Seconds = Annotated[float, Meta(ge=60, le=7 * 86_400)]


class ScreenQuery(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of one screen. Each is a text, a number, true or false, has a default, and says its range."""

    @property
    def asks_for_content(self) -> bool:
        """Whether what is found tells what customers write, though the screen shows none of it."""
        return False


class WindowQuery(ScreenQuery, frozen=True, kw_only=True):
    """A screen that looks `window_s` seconds back."""

    window_s: Seconds = 900.0
