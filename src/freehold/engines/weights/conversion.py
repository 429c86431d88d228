"""Weights that freehold converted: where they came from is recorded next to them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from freehold.types.record import Record

NAME = "converted.json"


class ConversionRecord(Record, frozen=True, kw_only=True):
    """The record of a conversion. `source_sha256` is the hash of the weights that were converted."""

    source_sha256: str
    source_path: str
    quantization: str
    version: str


def read_conversion(folder: Path) -> ConversionRecord | None:
    """The record in a folder of weights, when freehold made them by a conversion."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=ConversionRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def source_of(path: str | None) -> str | None:
    """The hash of the weights that those at `path` were converted from.

    An adapter trained on a GGUF fits the safetensors that were made of it: they are the same numbers.
    """
    found = read_conversion(Path(path)) if path is not None else None
    return None if found is None else found.source_sha256
