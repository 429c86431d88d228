"""What all tables of `freehold.toml` have in common, and the ranges that many fields share."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from freehold.types.strict import FINITE

AtLeastOne = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0, le=FINITE)]
Positive = Annotated[float, Meta(gt=0, le=FINITE)]
Share = Annotated[float, Meta(ge=0, le=1)]
ShareBelowOne = Annotated[float, Meta(ge=0, lt=1)]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `freehold.toml`."""
