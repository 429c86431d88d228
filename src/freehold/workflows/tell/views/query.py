"""What a screen of the console can be asked for: the parameters of its address, with their types and ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from freehold.catalog import models as catalog
from freehold.errors import UsageError
from freehold.types.record import Record
from freehold.workflows.fit.machine import machine_of_words

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


def machine_words(spec: str | None) -> str | None:
    """`spec` where it is words for a machine (``2x L4``, ``g5.xlarge``), as a visitor may name one; None for none.

    Raises `UsageError` for anything else: commands take a machine file here, and a page must not read files.
    """
    if spec is None or not spec.strip():
        return None
    if spec.endswith(".toml") or "/" in spec or "\\" in spec or Path(spec).exists():
        raise UsageError("a machine is named by words here, not by a file", hint='write it like "2x L4"')
    machine_of_words(spec)
    return spec.strip()


def catalog_model(name: str | None) -> str | None:
    """The id of a model of the catalog; None for none. Raises `UnknownModelError` for what is not in it: commands take
    paths and addresses here, and a page must not."""
    return None if name is None or not name.strip() else catalog.get(name.strip()).id
