"""What a file is and what its header says, without reading its tensors: JSON, safetensors, the form of weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Literal, NamedTuple

from freehold.errors import InputError
from freehold.types.model import WeightsForm


def read_object(file: Path, limit: int) -> dict[str, Any]:
    """The JSON object in a file. Raises `InputError` when it is missing, over `limit` bytes, or something else."""
    try:
        if file.stat().st_size > limit:
            raise InputError("too large for a config", path=str(file))
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", path=str(file)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", path=str(file)) from None
    if not isinstance(value, dict):
        raise InputError("not a JSON object", path=str(file))
    return value


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
    """What the header of one safetensors file says: bytes of all tensors, and how many."""

    bytes: int
    tensors: int


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
        for name, one in tensors.items():
            begin, end = one["data_offsets"]
            if not 0 <= begin <= end <= size - 8 - length:
                raise InputError(f"tensor {name} lies outside the file", path=str(file))
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        raise InputError(
            "not a sound safetensors file: its header is not a list of tensors", path=str(file)
        ) from None
    return TensorFile(size - 8 - int(length), len(tensors))


class StoredForm(NamedTuple):
    """`form` is of linear layers (with experts: of the routed ones), `dense` of the others where it differs."""

    form: WeightsForm
    dense: WeightsForm | None = None


def form_of_config(raw: dict[str, Any]) -> StoredForm | None:
    """The form that a config names; None where it names none (16 bits), or one that is not known here."""
    config = raw.get("quantization_config") or (raw.get("text_config") or {}).get("quantization_config")
    if not isinstance(config, dict):
        return None
    method = str(config.get("quant_method", "")).lower()
    form = _by_method(method, config)
    if form is None:
        return None
    spared = " ".join(
        str(name) for key in ("ignore", "modules_to_not_convert") for name in config.get(key) or ()
    )
    experts_only = "self_attn" in spared.replace("self_attn.indexer", "") and form not in ("FP8", "INT8")
    return StoredForm(form, "BF16" if experts_only or method == "mxfp4" else None)


def _by_method(method: str, config: dict[str, Any]) -> WeightsForm | None:
    four: dict[str, WeightsForm] = {"awq": "AWQ", "gptq": "GPTQ"}
    if method in four:
        return four[method] if config.get("bits", 4) == 4 else ("INT8" if config.get("bits") == 8 else None)
    if method == "compressed-tensors":
        layout = str(config.get("format", ""))
        named: dict[str, WeightsForm] = {
            "mxfp4-pack-quantized": "MXFP4",
            "nvfp4-pack-quantized": "NVFP4",
            "float-quantized": "FP8",
            "int-quantized": "INT8",
        }
        return named.get(layout) or ("INT4" if layout == "pack-quantized" and _bits(config) == 4 else None)
    if method == "modelopt" or "quant_algo" in config:
        algorithms: dict[str, WeightsForm] = {"FP8": "FP8", "NVFP4": "NVFP4"}
        return algorithms.get(str(config.get("quant_algo", "")).upper())
    plain: dict[str, WeightsForm] = {"fp8": "FP8", "fbgemm_fp8": "FP8", "mxfp4": "MXFP4"}
    return plain.get(method)


def _bits(config: dict[str, Any]) -> int | None:
    groups = config.get("config_groups")
    first: object = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    weights = first.get("weights") if isinstance(first, dict) else None
    return weights.get("num_bits") if isinstance(weights, dict) else None


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
