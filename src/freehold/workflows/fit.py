"""`freehold fit`: does a model fit on a machine, by part, and what is the most that fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import __version__
from freehold.catalog import models as catalog
from freehold.catalog import weights as weights_catalog
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UnknownModelError, WeightsError
from freehold.hardware import fit as fitting
from freehold.hardware.gguf_header import read_header
from freehold.hardware.hf_config import safetensors_bytes, shape_from_config
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import known, quantize, repacked_bytes, weights_bytes
from freehold.hardware.shapes import shape_from_gguf
from freehold.hardware.speed import estimate
from freehold.settings import Settings
from freehold.types.machine import Fit, Machine, Workload
from freehold.types.model import Shape, Weights

DEFAULT_QUANTIZATION = "Q4_K_M"
SMALLER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
"""Tried from the top where the asked one does not fit."""
MOST_DEVICES = 64


class Sized(NamedTuple):
    """A model with the bytes of its weights and how they are known."""

    name: str
    shape: Shape
    quantization: str
    bytes: int
    basis: str
    tensors: tuple[tuple[str, tuple[int, ...], str], ...]
    """Name, dimensions and type of each."""
    made_from: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def fit_model(
    model_id: str,
    *,
    weights: Weights | None = None,
    workload: Workload,
    machine: Machine | None = None,
    settings: Settings,
    quantization: str | None = None,
    kv_type: str = "f16",
) -> Fit:
    """Set a model against a machine (default: this one).

    `model_id` is a catalog id, a GGUF file, or an id whose weights are in the store; `weights` says which
    file is meant. A GGUF file's header is read, never its tensors. Without a file the bytes follow from the
    catalog's shape and `quantization`.

    Raises `UnknownModelError` for an id nothing here knows, `InputError` for a file that is no sound GGUF,
    `UsageError` for an unknown quantization or cache type or an empty workload.
    """
    sized = size_model(model_id, weights=weights, settings=settings, quantization=quantization)
    machine = machine or probe_machine(settings.home)
    found = _fit(sized, workload, machine, kv_type)
    return fitting.with_id(
        msgspec.structs.replace(
            found,
            speed=estimate(sized.shape, sized.bytes, workload, machine, kv_type=kv_type)
            if found.fits
            else None,
            ways_out=() if found.fits else tuple(_ways_out(sized, workload, machine, kv_type)),
        )
    )


def _fit(sized: Sized, workload: Workload, machine: Machine, kv_type: str) -> Fit:
    return fitting.fit(
        sized.name,
        sized.shape,
        quantization=sized.quantization,
        weights_bytes=sized.bytes,
        weights_basis=sized.basis,
        workload=workload,
        machine=machine,
        kv_type=kv_type,
        repacked_bytes=0 if machine.accelerators else repacked_bytes(sized.tensors, machine.isa),
        made_from=sized.made_from,
        version=__version__,
        notes=sized.notes,
    )


def _ways_out(sized: Sized, workload: Workload, machine: Machine, kv_type: str) -> Iterator[str]:
    """What would fit instead, most useful first."""
    if workload.context_tokens > sized.shape.context_tokens:
        return
    for name in SMALLER:
        if weights_bytes(sized.shape, name) >= sized.bytes:
            continue
        other = _fit(_at(sized, name), workload, machine, kv_type)
        if other.fits:
            yield f"{name} needs {fitting.gib(other.total_bytes)}: --quant {name}"
            break
    if kv_type == "f16":
        other = _fit(sized, workload, machine, "q8_0")
        if other.fits:
            yield f"a q8_0 cache needs {fitting.gib(other.total_bytes)} in all: --kv-type q8_0"
    if machine.accelerators:
        yield from _more_devices(sized, workload, machine, kv_type)
        layers = _layers_that_fit(sized, workload, machine, kv_type)
        yield f"{layers} of {sized.shape.layers} layers fit on the accelerator, the rest would run on the CPU"


def _at(sized: Sized, quantization: str) -> Sized:
    typed = quantize(sized.shape, quantization)
    return sized._replace(
        quantization=quantization,
        bytes=weights_bytes(sized.shape, quantization),
        basis=f"computed from the shape at {quantization}",
        tensors=tuple((one.tensor.name, one.tensor.dims, one.type) for one in typed),
    )


def _more_devices(sized: Sized, workload: Workload, machine: Machine, kv_type: str) -> Iterator[str]:
    """How many of the same device hold it. Up to the number of key/value heads tensors can be split (tensor
    parallel), beyond that whole layers (pipeline parallel)."""
    device = machine.accelerators[0]
    for count in range(len(machine.accelerators) + 1, MOST_DEVICES + 1):
        several = msgspec.structs.replace(machine, accelerators=(device,) * count)
        if _fit(sized, workload, several, kv_type).fits:
            heads = sized.shape.kv_heads
            split = "tensor or pipeline parallel" if heads % count == 0 else "pipeline parallel"
            yield f"{count} × {device.name} hold it, {split}"
            return


def _layers_that_fit(sized: Sized, workload: Workload, machine: Machine, kv_type: str) -> int:
    """Layers whose weights and cache fit beside what must be there anyway."""
    found = _fit(sized, workload, machine, kv_type)
    parts = {part.name: part.bytes for part in found.parts}
    per_layer = sum(parts.get(name, 0) for name in ("weights", "kv_cache", "kv_margin", "recurrent_state"))
    fixed = found.total_bytes - per_layer
    room = max(0, found.available_bytes - fixed)
    return min(sized.shape.layers, int(room / (per_layer / sized.shape.layers)))


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
            + "a GGUF file is read directly: freehold fit PATH.gguf",
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
