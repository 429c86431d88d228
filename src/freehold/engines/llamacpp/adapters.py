"""GGUF adapters: where the file is, and whether it belongs to these weights."""

from __future__ import annotations

from pathlib import Path

from freehold.engines.llamacpp import peft
from freehold.engines.weights.check import format_of
from freehold.errors import EngineError, InputError
from freehold.hardware.gguf_header import Header, read_header
from freehold.types.endpoint import AdapterMount

_EMBEDDINGS = ("token_embd", "output.")


def file_of(mount: AdapterMount, base: dict[str, object], home: Path) -> Path:
    """The GGUF of an adapter: the path itself, or the only GGUF in the folder it names. Of a folder that has only what
    PEFT writes, one that is made from it for a base with this metadata.

    Raises `InputError` when there is none, or several, and what `peft.convert_adapter` raises.
    """
    path = Path(mount.path)
    if not path.is_dir() and path.name != peft.WEIGHTS:
        return path
    folder = path if path.is_dir() else path.parent
    found = sorted(folder.glob("*.gguf"))
    if not found and (folder / peft.WEIGHTS).is_file():
        return peft.convert_adapter(folder, base, home)
    if len(found) != 1:
        count = "no GGUF file" if not found else f"{len(found)} GGUF files"
        raise InputError(
            f"the adapter {mount.name} has {count} here",
            path=str(path),
            hint="name the folder that freehold train or PEFT wrote, or the file itself",
        )
    return found[0]


def check(mount: AdapterMount, base: Header, base_sha256: str | None, home: Path) -> None:
    """Raise `EngineError` when the adapter cannot be attached to the base.

    `base` is the header of the base's GGUF, `base_sha256` its hash where known. An adapter that names the
    hash it was trained on is refused on any other weights: it would run, and answer worse.
    """
    path = file_of(mount, base.metadata, home)
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
