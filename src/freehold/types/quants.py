"""Quantizations of one model, side by side."""

from __future__ import annotations

from freehold.types.machine import Speed, Workload
from freehold.types.record import Record


class QuantRow(Record, frozen=True, kw_only=True):
    """One quantization. `weights_bytes` are exact where `known` names a file, else computed from the shape."""

    quantization: str
    bits_per_weight: float
    weights_bytes: int
    total_bytes: int
    fits: bool
    largest_context_tokens: int | None
    known: tuple[str, ...] = ()
    """Where such weights are known: in the store, in the catalog, on a hub."""
    path: str | None = None
    """The file, when it is here."""
    speed: Speed | None = None
    """Measured where somebody measured, else estimated."""


class Quants(Record, frozen=True, kw_only=True):
    """All rows, largest first, and which to `take` with reasons; None when none fits."""

    model: str
    machine: str
    workload: Workload
    available_bytes: int
    rows: tuple[QuantRow, ...]
    take: str | None
    reasons: tuple[str, ...]
    version: str = ""
