"""What a file is, by its first bytes, and whether sizes can be read from it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Literal, NamedTuple

from freehold.errors import InputError

Kind = Literal["gguf", "safetensors", "config", "index", "ollama", "adapter", "other"]

MAX_JSON_BYTES = 100 << 20
_MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive, as PyTorch writes checkpoints (pickles inside)"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"lmgg", "a GGML file of 2023, which nothing reads any more"),
    (b"tjgg", "a GGML file of 2023, which nothing reads any more"),
    (b"fmgg", "a GGML file of 2023, which nothing reads any more"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"GGUF"[::-1], "a GGUF file of the other byte order"),
    (b"<!DOC", "a web page: perhaps what a hub answered instead of the file"),
    (b"<html", "a web page: perhaps what a hub answered instead of the file"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched (git lfs pull)"),
)


class FileKind(NamedTuple):
    """`what` says it in words. `value` is the parsed JSON of a JSON file."""

    kind: Kind
    what: str
    value: dict[str, Any] | None = None


def kind_of(path: Path) -> FileKind:
    """Look at the front of a file. Raises `InputError` when there is none or it cannot be read."""
    try:
        if path.exists() and not path.is_file():
            raise InputError("no plain file: a pipe or a device has no size", path=str(path))
        with path.open("rb") as stream:
            front = stream.read(32)
        size = path.stat().st_size
    except FileNotFoundError:
        raise InputError("no such file", path=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None
    if not front:
        return FileKind("other", "an empty file")
    if front[:4] == b"GGUF":
        return FileKind("gguf", "a GGUF file")
    for magic, what in _MAGICS:
        if front.startswith(magic):
            return FileKind("other", what)
    if len(front) > 8 and front[8:9] == b"{" and struct.unpack("<Q", front[:8])[0] < size:
        return FileKind("safetensors", "a safetensors file")
    if front.lstrip()[:1] == b"{":
        return _json(path, size)
    text = all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in front)
    return FileKind("other", "a text file" if text else "a file of no kind that is known here")


def _json(path: Path, size: int) -> FileKind:
    if size > MAX_JSON_BYTES:
        return FileKind("other", "a JSON file too large for a config or an index")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"looks like JSON and is not: {error}", path=str(path)) from None
    if "peft_type" in value:
        return FileKind("adapter", "the config of a PEFT adapter", value)
    if isinstance(value.get("weight_map"), dict):
        return FileKind("index", "a safetensors index", value)
    layers = value.get("layers")
    if isinstance(layers, list) and all(isinstance(one, dict) and "mediaType" in one for one in layers):
        return FileKind("ollama", "an Ollama manifest", value)
    if "model_type" in value or "text_config" in value or "num_hidden_layers" in value:
        return FileKind("config", "a config.json", value)
    return FileKind("other", "a JSON file that is neither config.json nor a safetensors index", value)
