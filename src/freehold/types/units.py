"""Sizes: one unit for people everywhere, GiB (2**30 bytes), and MiB for what is small."""

from __future__ import annotations

MIB = 1 << 20
GIB = 1 << 30


def gib(count: float, digits: int | None = None) -> str:
    """Bytes as ``4.83 GiB``; without `digits`, two below ten and one above."""
    size = count / GIB
    return f"{size:,.{(2 if abs(size) < 10 else 1) if digits is None else digits}f} GiB"


def mib(count: float, digits: int = 0) -> str:
    """Bytes as ``270 MiB``."""
    return f"{count / MIB:,.{digits}f} MiB"
