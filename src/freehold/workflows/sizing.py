"""What a model is and how many bytes its weights take, from the best source there is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from freehold.catalog import models as catalog
from freehold.catalog import synced
from freehold.catalog import weights as weights_catalog
from freehold.catalog.synced import SyncedModel
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UnknownModelError, WeightsError
from freehold.hardware.gguf_header import read_header
from freehold.hardware.hf_config import safetensors_bytes, shape_from_config
from freehold.hardware.quantization import known, quantize, weights_bytes
from freehold.hardware.shapes import shape_from_gguf
from freehold.settings import Settings
from freehold.types.model import Shape, Weights

DEFAULT_QUANTIZATION = "Q4_K_M"


class Sized(NamedTuple):
    """A model with the bytes of its weights and how they are known."""

    name: str
    shape: Shape
    quantization: str
    bytes: int
    basis: str
    tensors: tuple[tuple[str, tuple[int, ...], str], ...]
    """Name, dimensions and type of each."""
    path: str | None = None
    """The file the bytes were read from."""
    quantized: bool = False
    """The bytes are those of a file that is quantized already."""
    made_from: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def at_quantization(sized: Sized, quantization: str) -> Sized:
    """The same model at another quantization, computed from its shape."""
    typed = quantize(sized.shape, quantization)
    return sized._replace(
        quantization=quantization,
        bytes=weights_bytes(sized.shape, quantization),
        basis=f"computed from the shape at {quantization}",
        quantized=False,
        tensors=tuple((one.tensor.name, one.tensor.dims, one.type) for one in typed),
    )


def size_model(
    model_id: str,
    *,
    weights: Weights | None = None,
    settings: Settings,
    quantization: str | None = None,
) -> Sized:
    """Shape and weight bytes of a model, from the best source there is: a file, else the catalog."""
    if weights is None and quantization is None and Path(model_id).suffix == ".gguf":
        return _from_file(Path(model_id).name, Path(model_id))
    if weights is None and (Path(model_id).is_dir() or Path(model_id).suffix == ".json"):
        return _from_config(Path(model_id), quantization)
    if weights is None:
        weights = _stored(model_id, settings, quantization)
    if weights is not None and weights.path is not None and weights.format == "gguf":
        sized = _from_file(weights.model_id, Path(weights.path))
        return sized._replace(quantization=weights.quantization, made_from=(f"weights:{weights.sha256}",))
    if weights is not None and weights.path is not None and weights.format == "safetensors":
        folder = Path(weights.path)
        sized = _from_config(folder if folder.is_dir() else folder.parent, quantization)
        return sized._replace(name=weights.model_id, made_from=(f"weights:{weights.sha256}",))
    model = catalog.find(model_id)
    if model is None:
        own = synced.find(settings.home, model_id)
        if own is not None and own.shape is not None:
            return _synced(own, own.shape, quantization)
        row = weights_catalog.find(model_id, quantization)
        if row is not None:
            raise WeightsError(
                f"the shape of {row.model} is not in the catalog and its weights are not here",
                hint=f"freehold pull {row.model}",
            )
        near = catalog.nearest(model_id) or weights_catalog.nearest(model_id)
        raise UnknownModelError(
            f"model {model_id} is neither in the catalog nor here",
            hint=(f"did you mean {near}? " if near else "")
            + "a GGUF file is read directly: freehold fit PATH.gguf; from a hub: freehold catalog sync "
            + model_id,
        )
    default = weights_catalog.find(model.id)
    wanted = known(quantization or (default.quantization if default else DEFAULT_QUANTIZATION))
    return Sized(
        name=model.id,
        shape=model.shape,
        quantization=wanted,
        bytes=weights_bytes(model.shape, wanted),
        tensors=tuple(
            (typed.tensor.name, typed.tensor.dims, typed.type) for typed in quantize(model.shape, wanted)
        ),
        basis=f"computed from the catalog's shape at {wanted}",
    )


def _synced(own: SyncedModel, shape: Shape, quantization: str | None) -> Sized:
    """A model of the user's own catalog: bytes of a file seen on the hub, else computed."""
    wanted = known(quantization or DEFAULT_QUANTIZATION)
    seen = next((one for one in own.quantizations if one.quantization == wanted), None)
    return Sized(
        name=own.id,
        shape=shape,
        quantization=wanted,
        bytes=seen.bytes if seen is not None else weights_bytes(shape, wanted),
        tensors=tuple(
            (typed.tensor.name, typed.tensor.dims, typed.type) for typed in quantize(shape, wanted)
        ),
        basis=f"size of {seen.files[0]}"
        if seen is not None
        else f"computed from its config.json at {wanted}",
        notes=(f"read from {own.source} on {own.fetched}", *own.notes),
    )


def _stored(model_id: str, settings: Settings, quantization: str | None) -> Weights | None:
    stored = WeightsStore(settings.home).find(model_id, quantization)
    return stored.weights if stored is not None else None


def _from_file(name: str, path: Path) -> Sized:
    header = read_header(path)
    return Sized(
        name=name,
        shape=shape_from_gguf(header),
        quantization=header.quantization,
        bytes=header.tensor_bytes,
        tensors=tuple((tensor.name, tensor.dims, tensor.type) for tensor in header.tensors),
        basis=f"tensors listed in {path.name}",
        path=str(path),
        quantized=True,
    )


def _from_config(path: Path, quantization: str | None) -> Sized:
    """A folder with config.json: bytes as its safetensors have them, or computed for a quantization."""
    found = shape_from_config(path)
    folder = path if path.is_dir() else path.parent
    name = folder.resolve().name
    wanted = known(quantization or "BF16")
    typed = quantize(found.shape, wanted)
    stored = quantization is None and path.is_dir()
    here = stored and (
        any(folder.glob("*.safetensors")) or (folder / "model.safetensors.index.json").exists()
    )
    return Sized(
        name=name,
        shape=found.shape,
        quantization=wanted,
        bytes=safetensors_bytes(folder) if here else weights_bytes(found.shape, wanted),
        tensors=tuple((one.tensor.name, one.tensor.dims, one.type) for one in typed),
        basis="safetensors as they are" if here else f"computed from config.json at {wanted}",
        notes=found.notes,
    )
