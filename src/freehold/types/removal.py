"""What commands tell that take something away."""

from __future__ import annotations

from freehold.types.record import Record


class Removed(Record, frozen=True, kw_only=True):
    """Something that is gone, and the room it took."""

    name: str
    freed_bytes: int | None = None
    """None for what takes no room to speak of."""
    files_stay_at: str | None = None
    """Where files lie that were read in place: they are forgotten, not deleted."""


class RevokedKeys(Record, frozen=True, kw_only=True):
    """Keys that end. `left` are in force after it; with `open` the gateway asks for no key any more."""

    revoked: int
    left: int
    open: bool
