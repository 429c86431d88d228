"""What a model is and how many bytes its weights take, from the best source there is, and as vLLM serves it: its
safetensors in the form they are published.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.catalog import models as catalog
from freehold.catalog import synced
from freehold.catalog import weights as weights_catalog
from freehold.catalog.synced import SyncedModel
from freehold.engines.weights import hub, local
from freehold.engines.weights.store import WeightsStore
from freehold.errors import InputError, UnknownModelError, WeightsError
from freehold.hardware import vllm_memory
from freehold.hardware.gguf_header import bounds_of, read_header, shape_from_gguf
from freehold.hardware.hf_config import MAX_CONFIG_BYTES, shape_from_config
from freehold.hardware.model_files import (
    FileKind,
    form_of_config,
    kind_of,
    read_object,
    safetensors_bytes,
    safetensors_header,
)
from freehold.hardware.quantization import known, quantize, weights_bytes
from freehold.hardware.tensors import parameter_count
from freehold.hardware.vllm_memory import WEIGHT_BITS, usual_layouts
from freehold.settings import Settings
from freehold.types.machine import Fit, Machine
from freehold.types.model import PublishedForm, Shape, Weights
from freehold.visible import gib, mib

DEFAULT_QUANTIZATION = "Q4_K_M"
LEAST_HELD = 0.5
"""A file with a smaller share of the parameters its metadata describe is not a whole model."""


class SizedModel(NamedTuple):
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
    adapters_bytes: int = 0
    quantized: bool = False
    """The bytes are those of a file that is quantized already."""
    stored: bool = False
    """The bytes are those of safetensors that lie here."""
    form: str | None = None
    """What its config.json says the safetensors are stored in; None: 16 bits, or it does not say."""
    dense: str | None = None
    """The form of layers besides the routed experts, where it differs."""
    made_from: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def at_quantization(sized: SizedModel, quantization: str) -> SizedModel:
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
) -> SizedModel:
    """Shape and weight bytes of a model, from the best source there is: a file, else the catalog."""
    if not model_id.strip() or model_id in ("file:", "ollama:", "hf:"):
        raise UnknownModelError("no model is named", hint="a catalog id (freehold catalog list), or a path")
    if model_id.startswith("hf:"):  # as freehold models pull takes it: hf:ORG/NAME@REVISION#FILE
        model_id = re.split(r"[@#]", model_id.removeprefix("hf:"))[0]
    if weights is None:
        path = _path_of(model_id)
        if path is not None:
            return from_path(path, model_id, quantization)
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
        cached = hub.cached(model_id, "config.json", None) if model_id.count("/") == 1 else None
        if cached is not None:
            return _from_config(cached.parent, quantization)._replace(name=model_id)
        row = weights_catalog.find(model_id, quantization)
        if row is not None:
            raise WeightsError(
                f"the shape of {row.model} is not in the catalog and its weights are not here",
                hint=f"freehold models pull {row.model}",
            )
        raise UnknownModelError(
            f"model {model_id} is neither in the catalog nor here", hint=catalog.hint(model_id)
        )
    default = weights_catalog.find(model.id)
    usual = model.quantization or DEFAULT_QUANTIZATION
    shadow = synced.shadow_of(settings.home, model)
    target = known(quantization or (default.quantization if default else usual))
    return SizedModel(
        name=model.id,
        shape=model.shape,
        quantization=target,
        bytes=weights_bytes(model.shape, target),
        tensors=tuple(
            (typed.tensor.name, typed.tensor.dims, typed.type) for typed in quantize(model.shape, target)
        ),
        basis=f"computed from the catalog's shape at {target}",
        notes=(shadow.said(),) if shadow is not None and shadow.differs else (),
    )


def _path_of(model_id: str) -> Path | None:
    """The file or folder that is meant, if one is: a path, or Ollama's name for a model in its store."""
    scheme, colon, rest = model_id.partition(":")
    if colon and scheme == "ollama":
        return local.ollama_blob(rest)
    path = Path(rest if colon and scheme == "file" else model_id).expanduser()
    if path.exists() or (colon and scheme == "file") or path.suffix in (".gguf", ".json", ".safetensors"):
        return path
    return None


def from_path(path: Path, name: str, quantization: str | None = None) -> SizedModel:
    """What lies at a path: a GGUF file, a folder or config.json, safetensors, their index, an Ollama manifest.

    Raises `InputError` that says what the file is, what can be read of it, and what is missing.
    """
    if path.is_dir():
        return _from_config(path, quantization)
    found = kind_of(path)
    if found.kind == "gguf":
        shown = path.name if name in (str(path), f"file:{path}") else name
        sized = _from_file(shown, path)
        if quantization is None or known(quantization) == sized.quantization:
            return sized
        return at_quantization(sized, known(quantization))
    if found.kind == "config":
        return _from_config(path, quantization)
    if found.kind in ("safetensors", "index"):
        return _from_tensors(path, found, quantization)
    if found.kind == "ollama":
        return _from_manifest(path, found, quantization)
    if found.kind == "adapter":
        base = (found.value or {}).get("base_model_name_or_path", "its base")
        raise InputError(
            f"{found.what}, not a model",
            path=str(path),
            hint=f"freehold fit {base} counts what it is attached to",
        )
    raise InputError(
        f"{found.what}: no sizes can be read from it",
        path=str(path),
        hint="readable: GGUF, safetensors with config.json next to them, a config.json, an Ollama manifest",
    )


def _from_tensors(path: Path, found: FileKind, quantization: str | None) -> SizedModel:
    """Safetensors or their index: bytes from the headers, the shape from config.json next to them."""
    if (path.parent / "config.json").is_file():
        return _from_config(path.parent, quantization)
    if found.kind == "index":
        total = ((found.value or {}).get("metadata") or {}).get("total_size")
        count = len((found.value or {})["weight_map"])
    else:
        read = safetensors_header(path)
        total, count = read.bytes, read.tensors
    size = f"{gib(total, 2)} in " if isinstance(total, int) else ""
    raise InputError(
        f"{found.what} with {size}{count:,} tensors, and no config.json next to it: its weights are known, its layers "
        "and its cache are not",
        path=str(path),
        hint="put the model's config.json into the same folder",
    )


def _from_manifest(path: Path, found: FileKind, quantization: str | None) -> SizedModel:
    """An Ollama manifest: the model's blob in the same store; adapters in it are named."""
    layers = (found.value or {})["layers"]
    named = {str(one["mediaType"]).rpartition(".")[2]: one for one in layers}
    model = named.get("model")
    if model is None:
        raise InputError("an Ollama manifest without a model", path=str(path))
    digest = str(model.get("digest", "")).replace(":", "-")
    blob = next((up / "blobs" / digest for up in path.parents if (up / "blobs" / digest).is_file()), None)
    if blob is None:
        size = model.get("size")
        shown = f"{gib(size, 2)} of weights" if isinstance(size, int) else "weights of unknown size"
        raise InputError(
            f"an Ollama manifest with {shown}, whose blob {digest[:19]}… is not in its store",
            path=str(path),
            hint="ollama pull fetches it",
        )
    sized = from_path(blob, f"{path.parent.name}:{path.name}", quantization)
    adapters = [one for one in layers if str(one["mediaType"]).endswith(".adapter")]
    extra = sum(one.get("size", 0) for one in adapters)
    if not adapters:
        return sized
    note = f"the manifest adds {len(adapters)} adapter of {mib(extra)}: counted"
    return sized._replace(adapters_bytes=extra, notes=(*sized.notes, note))


def adapter_bytes(path: Path) -> int:
    """Bytes an adapter takes in addition to its base: a GGUF adapter, or a PEFT folder's safetensors.

    Raises `InputError` when nothing of the kind is there.
    """
    if path.is_dir():
        files = sorted(path.glob("adapter_model*.safetensors")) or sorted(path.glob("*.gguf"))
        if not files:
            raise InputError("no adapter_model.safetensors and no GGUF adapter here", path=str(path))
        return sum(adapter_bytes(file) for file in files)
    found = kind_of(path)
    if found.kind == "gguf":
        return read_header(path).tensor_bytes
    if found.kind == "safetensors":
        return safetensors_header(path).bytes
    raise InputError(f"{found.what}, not an adapter", path=str(path))


def _synced(own: SyncedModel, shape: Shape, quantization: str | None) -> SizedModel:
    """A model of the user's own catalog: bytes of a file published on the hub, else computed."""
    target = known(quantization or DEFAULT_QUANTIZATION)
    published = next((one for one in own.quantizations if one.quantization == target), None)
    return SizedModel(
        name=own.id,
        shape=shape,
        quantization=target,
        bytes=published.bytes if published is not None else weights_bytes(shape, target),
        tensors=tuple(
            (typed.tensor.name, typed.tensor.dims, typed.type) for typed in quantize(shape, target)
        ),
        basis=f"size of {published.files[0]}"
        if published is not None
        else f"computed from its config.json at {target}",
        notes=(f"read from {own.source} on {own.fetched}", *own.notes),
    )


def _stored(model_id: str, settings: Settings, quantization: str | None) -> Weights | None:
    stored = WeightsStore(settings.home).find(model_id, quantization)
    return stored.weights if stored is not None else None


def _from_file(name: str, path: Path) -> SizedModel:
    header = read_header(path)
    if not header.tensors:
        raise InputError("a GGUF file without weights, a vocabulary only", path=str(path))
    shape, notes = shape_from_gguf(header), bounds_of(header)
    held, expected = sum(math.prod(one.dims) for one in header.tensors), parameter_count(shape)
    if not notes and held < LEAST_HELD * expected:
        raise InputError(
            f"it holds {held:,} of the {expected:,} parameters that its own metadata describe",
            path=str(path),
            hint="a part of a split file, or tensors were left out: fetch it again",
        )
    return SizedModel(
        name=name,
        shape=shape,
        quantization=header.quantization,
        bytes=header.tensor_bytes,
        tensors=tuple((tensor.name, tensor.dims, tensor.type) for tensor in header.tensors),
        basis=f"tensors listed in {path.name}",
        path=str(path),
        quantized=True,
        notes=notes,
    )


def _from_config(path: Path, quantization: str | None) -> SizedModel:
    """A folder with config.json: bytes as its safetensors have them, or computed for a quantization."""
    found = shape_from_config(path)
    folder = path if path.is_dir() else path.parent
    name = folder.resolve().name
    target = known(quantization or "BF16")
    typed = quantize(found.shape, target)
    stored = quantization is None and path.is_dir()
    form = form_of_config(read_object(folder / "config.json" if path.is_dir() else path, MAX_CONFIG_BYTES))
    here = stored and (
        any(folder.glob("*.safetensors")) or (folder / "model.safetensors.index.json").exists()
    )
    return SizedModel(
        name=name,
        shape=found.shape,
        quantization=target,
        bytes=safetensors_bytes(folder) if here else weights_bytes(found.shape, target),
        tensors=tuple((one.tensor.name, one.tensor.dims, one.type) for one in typed),
        basis="safetensors as they are" if here else f"computed from config.json at {target}",
        stored=here,
        form=None if form is None else form.form,
        dense=None if form is None else form.dense,
        notes=found.notes,
    )


def as_served(sized: SizedModel, model_id: str, quantization: str | None) -> SizedModel:
    """The weights as vLLM holds them: as they are published, unless another form is asked for, in which the makers' own
    release counts where there is one.

    What lies here is as its files are; of a catalog model the release that `model_id` names decides, and without one
    16 bits are taken. Raises `UsageError` for a quantization vLLM does not have.
    """
    if sized.quantized and quantization is None:
        note = "vLLM serves GGUF files slowly: it is made for safetensors"
        return sized._replace(notes=(*sized.notes, note))
    named = None if quantization is None else release_in(model_id, quantization.upper())
    known = catalog.find(model_id)
    release = catalog.published(known, named or model_id) if known is not None else None
    if release is not None and quantization is not None and quantization.upper() == release.form:
        return _released(sized, release)
    if quantization is None and sized.stored:
        return sized._replace(quantization=sized.form or "BF16")
    if quantization is None and release is not None:
        return _released(sized, release)
    form, dense = (quantization or sized.form or "BF16").upper(), None
    if quantization is None or form == sized.form:
        dense = sized.dense
    size = vllm_memory.weights_bytes(sized.shape, form, dense)
    asked = sized._replace(
        quantization=form, dense=dense, bytes=size, basis=f"computed from the shape at {form}", stored=False
    )
    own = _released(sized, release) if release is not None else None
    if own is not None and own.bytes < size:
        return asked._replace(
            notes=(*sized.notes, f"published in {own.quantization}: {form} is larger and holds no more")
        )
    return asked


def _released(sized: SizedModel, release: PublishedForm) -> SizedModel:
    size = release.bytes or vllm_memory.weights_bytes(sized.shape, release.form, release.dense)
    how = "the size of its index" if release.bytes is not None else "computed from the catalog's shape"
    rest = f", other layers in {release.dense}" if release.dense is not None else ""
    return sized._replace(
        name=release.id or sized.name,
        quantization=release.form,
        dense=release.dense,
        bytes=size,
        basis=f"as published: {release.form}{rest}; {how}",
        notes=(
            *sized.notes,
            f"published in {release.form}{rest}: {release.source}, checked {release.checked}",
        ),
    )


def release_in(model_id: str, form: str) -> str | None:
    """The id of a release of this model in a form, by its makers; None where the catalog names none."""
    known = catalog.find(model_id)
    found = [one.id for one in known.published if one.form == form] if known is not None else []
    return next((one for one in found if one is not None), None)


SMALLER_FORMS = ("FP8", "AWQ")
"""Tried from the top where weights have more bits than these."""
MOST_DEVICES = 64
Fitted = Callable[[SizedModel, Machine, str | None], Fit]
"""The fit of weights on a machine, with another cache type where one is given."""


def vllm_ways(sized: SizedModel, machine: Machine, fitted: Fitted) -> Iterator[str]:
    """Ways out, most useful first. Weights that are published in four bits are not made smaller."""
    bits = WEIGHT_BITS.get(sized.quantization, 4)
    for form in SMALLER_FORMS:
        if WEIGHT_BITS[form] >= bits or bits < 5:
            continue
        smaller = as_served(sized._replace(quantized=False, stored=False), "", form)
        found = fitted(smaller, machine, None)
        if found.fits:
            release = release_in(sized.name, form)
            how = f"freehold fit {release} --engine vllm" if release else f"--quant {form}"
            yield f"{form} needs {gib(found.total_bytes)}: {how}"
            break
    found = fitted(sized, machine, "fp8")
    if found.fits:
        yield f"an fp8 cache needs {gib(found.total_bytes)} in all: --kv-type fp8"
    device = machine.accelerators[0]
    for split in usual_layouts(sized.shape, sized.quantization, MOST_DEVICES):
        if split.devices <= len(machine.accelerators):
            continue
        several = msgspec.structs.replace(machine, accelerators=(device,) * split.devices)
        if fitted(sized, several, None).fits:
            yield f"{split.devices} × {device.name} hold it: {split.options}"
            return
