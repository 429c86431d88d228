"""What is in a weights file: its format by its bytes, its hash. Pickles are refused.

Covered: GGUF and safetensors by magic; PyTorch pickles by name and by content; truncated headers.
Not covered: what a chat template inside a GGUF does (engines run it in a sandboxed Jinja).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

from freehold.errors import InputError, WeightsError
from freehold.types.model import WeightsFormat

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
CHUNK_BYTES = 1 << 20


def refuse_pickle(name: str) -> None:
    """Raise `WeightsError` for a file name that belongs to a pickle."""
    if name.lower().endswith(PICKLES):
        raise WeightsError(
            f"{name} is a pickle: loading it runs whatever code its maker put in",
            hint="use GGUF or safetensors weights; most repositories carry one of them",
        )


def format_of(path: Path) -> WeightsFormat:
    """The format of the file, by its first bytes.

    Raises `WeightsError` for a pickle and for anything that is neither GGUF nor safetensors, `InputError`
    for a file that cannot be read.
    """
    refuse_pickle(path.name)
    try:
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except FileNotFoundError:
        raise InputError("no such file", path=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None
    if head[:4] == b"GGUF":
        return "gguf"
    if head[:2] == b"\x80\x02" or head[:4] == b"PK\x03\x04":
        raise WeightsError(
            f"{path} is a pickle or an archive of one: loading it runs whatever code its maker put in",
            hint="use GGUF or safetensors weights",
        )
    if len(head) >= 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] + 8 <= size:
        return "safetensors"
    raise WeightsError(
        f"{path} is neither GGUF nor safetensors", hint="the file may be cut off; fetch it again"
    )


def sha256_of(path: Path, *, watch: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file in hex; `watch` is told the bytes hashed so far."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            digest.update(block)
            done += len(block)
            if watch is not None:
                watch(done)
    return digest.hexdigest()


def quantization_of(path: Path) -> str:
    """The quantization of a GGUF, from `general.file_type`; of safetensors, the dtype of most bytes."""
    if path.is_file() and format_of(path) == "gguf":
        return _gguf_quantization(path)
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    return _safetensors_dtype(files[0])


# llama.cpp include/llama.h, enum llama_ftype (as of 2026-10).
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip

# GGUF metadata value types (gguf.md): number -> struct format; 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def gguf_metadata(path: Path) -> dict[str, object]:
    """The scalar and string metadata of a GGUF file (arrays are skipped), read without any library.

    Raises `WeightsError` when the header is cut off or not GGUF version 2 or 3.
    """
    try:
        with path.open("rb") as file:
            magic, version, _tensors, count = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version not in (2, 3):
                raise WeightsError(f"{path} is not GGUF version 2 or 3")

            def text() -> str:
                (length,) = struct.unpack("<Q", file.read(8))
                return file.read(length).decode("utf-8", "replace")

            def value(kind: int) -> object:
                if kind == 8:
                    return text()
                if kind == 9:
                    inner, length = struct.unpack("<IQ", file.read(12))
                    if inner in _SCALARS:
                        file.seek(struct.calcsize(_SCALARS[inner]) * length, 1)
                    else:
                        for _ in range(length):
                            value(inner)
                    return None
                form = "<" + _SCALARS[kind]
                return struct.unpack(form, file.read(struct.calcsize(form)))[0]

            found: dict[str, object] = {}
            for _ in range(count):
                key = text()
                (kind,) = struct.unpack("<I", file.read(4))
                if (item := value(kind)) is not None:
                    found[key] = item
            return found
    except (struct.error, KeyError, MemoryError, OverflowError):
        raise WeightsError(f"{path}: the GGUF header is cut off or damaged", hint="fetch it again") from None


def _gguf_quantization(path: Path) -> str:
    kind = gguf_metadata(path).get("general.file_type")
    return _FILE_TYPES.get(kind, f"type {kind}") if isinstance(kind, int) else "unknown"


def _safetensors_dtype(path: Path) -> str:
    import msgspec

    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = msgspec.json.decode(file.read(length))
    bytes_of: dict[str, int] = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            bytes_of[tensor["dtype"]] = bytes_of.get(tensor["dtype"], 0) + end - start
    return max(bytes_of, key=lambda dtype: bytes_of[dtype], default="unknown")
