"""How much a compressed file may unpack to: a small one can hold more than any machine's memory."""

from __future__ import annotations

from freehold.errors import InputError

FREE_BYTES = 64 * 1024 * 1024
"""Up to this any file may unpack to."""
RATIO_MAX = 500
"""Beyond it, this many times its packed size; logs of the most repetitive traffic reach a hundred."""


def is_beyond(packed_bytes: int, unpacked_bytes: int) -> bool:
    """Whether that is more than an honest file unpacks to."""
    return unpacked_bytes > FREE_BYTES and unpacked_bytes > RATIO_MAX * packed_bytes


def check_ratio(packed_bytes: int, unpacked_bytes: int, path: str) -> None:
    """Raises `InputError` for what unpacks to more than an honest file does."""
    if is_beyond(packed_bytes, unpacked_bytes):
        raise InputError(
            f"unpacks to more than {RATIO_MAX} times its size: {packed_bytes} bytes became {unpacked_bytes}",
            path=path,
            hint="unpack it yourself, look at it, and give the file that was in it",
        )
