"""The base of all records, and how ids are made."""

from __future__ import annotations

import hashlib
import os
from typing import Any, ClassVar

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen value. Unknown keys of stored or received records are tolerated."""


class StoredRecord(Record, frozen=True, kw_only=True):
    """A record that the store keeps, one for each `kind` and `key`. Databases of released versions hold both."""

    kind: ClassVar[str]
    key_field: ClassVar[str] = "id"
    unaudited: ClassVar[str | None] = None
    """Why a change of such a record needs no entry in the audit record; None where it gets one."""

    @property
    def key(self) -> str:
        """Tells the record from others of its kind; one with the same key takes its place."""
        return str(getattr(self, self.key_field))


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: the bytes that content hashes are taken over."""
    return msgspec.json.encode(value, order="deterministic")


def content_id(value: Any) -> str:
    """Id of content: the first 32 hex digits (128 bits) of the SHA-256 of its canonical JSON."""
    data = value if isinstance(value, bytes) else canonical_json(value)
    return hashlib.sha256(data).hexdigest()[:32]


# The bits of a UUIDv7 behind its time that are not drawn, version and variant, and what stands in them.
_FIXED_BITS, _VERSION_7 = 0xF000_C000_0000_0000_0000, 0x7000_8000_0000_0000_0000


def event_id(unix_ms: int) -> str:
    """UUIDv7 (RFC 9562, section 5.7) for something that happened at `unix_ms`: sorts by time."""
    drawn = int.from_bytes(os.urandom(10), "big") & ~_FIXED_BITS | _VERSION_7
    text = ((unix_ms & ((1 << 48) - 1)) << 80 | drawn).to_bytes(16, "big").hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
