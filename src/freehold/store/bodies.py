"""Stored bodies: a checksum, then the content. Traces are lines of JSON, a block of them compressed with zstandard.

The checksum is CRC-32 (IEEE 802.3, as `zlib.crc32`), which finds every change of one to three bits in bodies up to
11 kB and every burst of up to 32 bits in any body; other damage passes once in 2^32. It is taken over the table's name
and the columns that say which row this is as well, so that a body in another row's place is noticed, too.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import TypeVar

import msgspec

from freehold.late import zstandard
from freehold.store.damage import DamagedBody

_LEVEL = 1
_HEAD = struct.Struct(">I")
T = TypeVar("T")


class _Codecs(threading.local):
    """zstandard's contexts may not be shared between threads, and are costly to make."""

    @cached_property
    def compressor(self) -> zstandard.ZstdCompressor:
        return zstandard.ZstdCompressor(level=_LEVEL)

    @cached_property
    def decompressor(self) -> zstandard.ZstdDecompressor:
        return zstandard.ZstdDecompressor()


_codecs = _Codecs()
_BLOCKS = "trace_blocks"


def _about(columns: tuple[object, ...]) -> bytes:
    return "\x1f".join(map(str, columns)).encode()


def _crc(content: bytes, about: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(about))


def seal(content: bytes, *about: object) -> bytes:
    """The bytes that are stored for `content` in the row that `about` tells: its table and key columns."""
    return _HEAD.pack(_crc(content, _about(about))) + content


def unseal(stored: bytes, *about: object) -> bytes:
    """The content that `seal` was given. Raises `DamagedBody`."""
    if not isinstance(stored, bytes):
        # SQLite keeps a value's type next to the value, where it can be damaged as well.
        raise DamagedBody(f"it is of the type {type(stored).__name__}")
    if len(stored) <= _HEAD.size:
        raise DamagedBody("it is cut short")
    content = stored[_HEAD.size :]
    if _HEAD.unpack_from(stored)[0] != _crc(content, _about(about)):
        raise DamagedBody("its checksum is wrong")
    return content


def read_json(stored: bytes, type: type[T], *about: object) -> T:
    """A stored JSON body. Raises `DamagedBody`, and `msgspec.ValidationError` for whole JSON of another shape."""
    return decode(unseal(stored, *about), type)


def decode(content: bytes, type: type[T]) -> T:
    """JSON that was unsealed. Raises as `read_json` does."""
    try:
        return msgspec.json.decode(content, type=type)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedBody(f"it is not JSON ({error})") from None


def pack_lines(lines: Sequence[bytes], place: int) -> bytes:
    """The bytes that are stored for a block of traces, a line of JSON each, whose first has the place `place`."""
    packed: bytes = _codecs.compressor.compress(b"\n".join(lines))
    return seal(packed, _BLOCKS, place)


def unpack_lines(stored: bytes, place: int) -> list[bytes]:
    """The lines that `pack_lines` was given. Raises `DamagedBody`."""
    try:
        unpacked: bytes = _codecs.decompressor.decompress(unseal(stored, _BLOCKS, place))
    except (zstandard.ZstdError, MemoryError) as error:
        raise DamagedBody(f"it cannot be unpacked ({error})") from None
    return unpacked.split(b"\n")
