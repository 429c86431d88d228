"""GGUF adapters: where the file is, and whether it belongs to these weights."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from freehold import files
from freehold.engines.weights.store import format_of, storage_errors
from freehold.errors import EngineError, InputError, MissingExtraError
from freehold.hardware.gguf_header import Header, read_header
from freehold.types.endpoint import AdapterMount

if TYPE_CHECKING:
    import numpy as np


PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
_WAY_OUT = "merge it into its base (PEFT: merge_and_unload, save_pretrained), and serve that folder"


def convert_adapter(folder: Path, base: dict[str, object], home: Path) -> Path:
    """The GGUF of the adapter in `folder` for a base with this metadata; made once, kept under `home` by its content.

    Raises `InputError` (damaged files), `EngineError` (what llama.cpp cannot do) and `StorageError`.
    """
    digest = hashlib.sha256()
    for name in (PEFT_WEIGHTS, PEFT_CONFIG):
        with files.reading(folder / name):
            digest.update((folder / name).read_bytes())
    digest.update(str(base.get("general.architecture")).encode())
    target = home / "engines" / "llamacpp" / "adapters" / f"{digest.hexdigest()[:16]}.gguf"
    if not target.is_file():
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(target) as partial:
                _write(folder, base, partial)
    return target


def _write(folder: Path, base: dict[str, object], target: Path) -> None:
    try:
        import gguf
    except ImportError:
        raise MissingExtraError("the llama.cpp engine", "local") from None
    config = _config(folder)
    architecture = str(base.get("general.architecture"))
    known = next((key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture), None)
    if known is None:
        raise EngineError(f"llama.cpp knows no architecture {architecture!r}")
    names = gguf.get_tensor_name_map(known, _number(base, architecture, "block_count"))
    rank = int(config.get("r") or 8)
    scale = _scale(config, rank, float(config.get("lora_alpha") or rank))
    tensors = _tensors(folder / PEFT_WEIGHTS)
    ranks = {_layer(key): values.shape[0] for key, values in tensors.items() if ".lora_A." in key}
    writer = gguf.GGUFWriter(str(target), architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(
        gguf.Keys.Adapter.LORA_ALPHA, scale * rank
    )  # llama.cpp divides it by a layer's own rank
    for key, values in tensors.items():
        half = re.search(r"\.lora_([AB])\.(?:default\.)?weight$", key)
        layer = _layer(key)
        name = names.get_name(layer) if half is not None else None
        if half is None or name is None:
            raise EngineError(f"llama.cpp cannot attach {key} of the adapter in {folder}", hint=_WAY_OUT)
        if half.group(1) == "B":
            if architecture == "llama" and name.endswith(("attn_q", "attn_k")):
                kind = "head_count" if name.endswith("attn_q") else "head_count_kv"
                values = _permuted(values, _number(base, architecture, f"attention.{kind}"))
            own = _scale(config, ranks.get(layer, rank), _alpha(config, layer, float(scale * rank)))
            values = values * (own * ranks.get(layer, rank) / (scale * rank))
        writer.add_tensor(f"{name}.weight.lora_{half.group(1).lower()}", values.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _config(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode((folder / PEFT_CONFIG).read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InputError(f"cannot be read: {error}", path=str(folder / PEFT_CONFIG)) from None
    kind = "DoRA" if found.get("use_dora") else found.get("peft_type", "LORA")
    bias = found.get("bias", "none")
    if kind != "LORA" or bias != "none":
        raise EngineError(
            f"llama.cpp serves plain LoRA, and the adapter in {folder} is {kind}, bias {bias}", hint=_WAY_OUT
        )
    return found


def _scale(config: dict[str, Any], rank: int, alpha: float) -> float:
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _alpha(config: dict[str, Any], layer: str, default: float) -> float:
    """A layer's alpha: PEFT's pattern for it, else that of all."""
    for pattern, alpha in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?{pattern}", layer):
            return float(alpha)
    return float(config.get("lora_alpha") or default)


def _layer(key: str) -> str:
    return key.partition(".lora_")[0].removeprefix("base_model.model.")


def _number(base: dict[str, object], architecture: str, name: str) -> int:
    found = base.get(f"{architecture}.{name}")
    if not isinstance(found, int):
        raise EngineError(f"the base does not say its {name}, which its adapter's order depends on")
    return found


def _permuted(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Output rows in the order of llama.cpp, which turns neighbours where the model's own code turns halves."""
    return (
        rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
    )


def _tensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All tensors of a safetensors file in float32. Raises `InputError`."""
    import numpy as np

    data = path.read_bytes()
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = msgspec.json.decode(data[8 : 8 + length])
        found = {}
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            start, end = tensor["data_offsets"]
            raw = data[8 + length + start : 8 + length + end]
            if tensor["dtype"] == "BF16":  # the upper half of a float32
                values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
            else:
                values = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[tensor["dtype"]]).astype("float32")
            found[name] = values.reshape(tensor["shape"])
    except (struct.error, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a sound safetensors file of float numbers: {error}", path=str(path)) from None
    if not found:
        raise InputError("this safetensors file holds no tensors", path=str(path))
    broken = next((name for name, values in found.items() if not np.isfinite(values).all()), None)
    if broken is not None:
        raise InputError(f"{broken} holds values that are not finite", path=str(path), hint="train it again")
    return found


_EMBEDDINGS = ("token_embd", "output.")


def adapter_file(mount: AdapterMount, base: dict[str, object], home: Path) -> Path:
    """The GGUF of an adapter: the path itself, or the only GGUF in the folder it names. Of a folder that has only what
    PEFT writes, one that is made from it for a base with this metadata.

    Raises `InputError` when there is none, or several, and what `peft.convert_adapter` raises.
    """
    path = Path(mount.path)
    if not path.is_dir() and path.name != PEFT_WEIGHTS:
        return path
    folder = path if path.is_dir() else path.parent
    found = sorted(folder.glob("*.gguf"))
    if not found and (folder / PEFT_WEIGHTS).is_file():
        return convert_adapter(folder, base, home)
    if len(found) != 1:
        count = "no GGUF file" if not found else f"{len(found)} GGUF files"
        raise InputError(
            f"the adapter {mount.name} has {count} here",
            path=str(path),
            hint="name the folder that freehold train or PEFT wrote, or the file itself",
        )
    return found[0]


def check_adapter(mount: AdapterMount, base: Header, base_sha256: str | None, home: Path) -> None:
    """Raise `EngineError` when the adapter cannot be attached to the base.

    `base` is the header of the base's GGUF, `base_sha256` its hash where known. An adapter that names the
    hash it was trained on is refused on any other weights: it would run, and answer worse.
    """
    path = adapter_file(mount, base.metadata, home)
    if format_of(path) != "gguf":
        raise EngineError(f"llama.cpp reads GGUF adapters, and {path} is not one")
    header = read_header(path)
    metadata = header.metadata
    if metadata.get("general.type") != "adapter":
        raise EngineError(f"{path} is a model, not an adapter", hint="serve it as a model of its own")
    if metadata.get("general.architecture") != base.architecture:
        raise EngineError(
            f"adapter {mount.name} is for {metadata.get('general.architecture')} models, "
            f"the base is {base.architecture}",
            hint="mount it on the base it was trained on",
        )
    if mount.base_sha256 and base_sha256 and mount.base_sha256 != base_sha256:
        raise EngineError(
            f"adapter {mount.name} was trained on weights with sha256 {mount.base_sha256}, "
            f"these have {base_sha256}",
            hint="serve the weights it was trained on, or train again on these",
        )
    _check_shapes(mount, header, base)


def _check_shapes(mount: AdapterMount, adapter: Header, base: Header) -> None:
    """Raise `EngineError` for a layer that the base does not have, or has in another shape: llama.cpp would end without
    a helpful message. A's rows and B's columns are the rank; A is as wide as the layer, B as high."""
    hint = "mount it on the base it was trained on, or fetch it again"
    halves: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor in adapter.tensors:
        layer, _, half = tensor.name.rpartition(".lora_")
        halves.setdefault(layer, {})[half] = tensor.dims
    layers = {tensor.name: tensor.dims for tensor in base.tensors}
    for layer, pair in halves.items():
        if set(pair) != {"a", "b"}:
            raise EngineError(f"adapter {mount.name} has only half of {layer}", hint=hint)
        wanted = layers.get(layer)
        if wanted is None:
            raise EngineError(
                f"adapter {mount.name} changes {layer}, which the base does not have", hint=hint
            )
        a, b = pair["a"], pair["b"]
        if layer.startswith(_EMBEDDINGS) or not len(a) == len(b) == len(wanted) == 2:
            continue  # stored the other way round, or as a stack of experts
        if a[1] != b[0]:
            raise EngineError(
                f"adapter {mount.name} has rank {a[1]} and {b[0]} in the halves of {layer}", hint=hint
            )
        if (a[0], b[1]) != wanted:
            raise EngineError(
                f"adapter {mount.name} is for layers of other sizes: "
                f"{layer} is {wanted[1]:,} × {wanted[0]:,} in the base and {b[1]:,} × {a[0]:,} in the adapter",
                hint=hint,
            )
