"""Bytes of weights from the headers of safetensors files, never their tensors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import NamedTuple

from freehold.errors import InputError
from freehold.hardware.json_file import read_object

MAX_HEADER_BYTES = 100 << 20


def safetensors_bytes(folder: Path) -> int:
    """Bytes of all tensors of a folder: from the index where there is one, else from each file's header.

    Raises `InputError` for a header that is cut short or claims more than the file holds.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        metadata = read_object(index, MAX_HEADER_BYTES).get("metadata")
        total = metadata.get("total_size") if isinstance(metadata, dict) else None
        if isinstance(total, int) and total > 0:
            return total
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError("no safetensors and no index here", path=str(folder))
    return sum(safetensors_header(file).bytes for file in files)


class TensorFile(NamedTuple):
    """What the header of one safetensors file says: bytes of all tensors, how many, bytes by number format."""

    bytes: int
    tensors: int
    by_type: dict[str, int]


def safetensors_header(file: Path) -> TensorFile:
    """Read the header of one safetensors file, never its tensors.

    Raises `InputError` for a header that is cut short, claims more than the file holds, or places tensors outside.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        front = stream.read(8)
        length = struct.unpack("<Q", front)[0] if len(front) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise InputError(f"not a sound safetensors file: header of {length} bytes", path=str(file))
        raw = stream.read(length)
    try:
        listed = json.loads(raw)
        tensors = {name: one for name, one in listed.items() if name != "__metadata__"}
        by_type: dict[str, int] = {}
        for name, one in tensors.items():
            begin, end = one["data_offsets"]
            if not 0 <= begin <= end <= size - 8 - length:
                raise InputError(f"tensor {name} lies outside the file", path=str(file))
            by_type[one["dtype"]] = by_type.get(one["dtype"], 0) + end - begin
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        raise InputError(
            "not a sound safetensors file: its header is not a list of tensors", path=str(file)
        ) from None
    return TensorFile(size - 8 - int(length), len(tensors), by_type)
