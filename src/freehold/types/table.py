"""What all tables of `freehold.toml` have in common."""

from __future__ import annotations

import msgspec


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `freehold.toml`."""
