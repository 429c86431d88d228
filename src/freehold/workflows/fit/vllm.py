"""A model as vLLM serves it: its safetensors in the form they are published."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from freehold.catalog import models as catalog
from freehold.hardware import vllm_memory
from freehold.hardware.vllm_memory import WEIGHT_BITS, usual_layouts
from freehold.types.machine import Fit, Machine
from freehold.types.model import PublishedForm
from freehold.visible import gib
from freehold.workflows.fit.sizes import SizedModel


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


SMALLER = ("FP8", "AWQ")
"""Tried from the top where weights have more bits than these."""
MOST_DEVICES = 64
Fitted = Callable[[SizedModel, Machine, str | None], Fit]
"""The fit of weights on a machine, with another cache type where one is given."""


def vllm_ways(sized: SizedModel, machine: Machine, fitted: Fitted) -> Iterator[str]:
    """Ways out, most useful first. Weights that are published in four bits are not made smaller."""
    bits = WEIGHT_BITS.get(sized.quantization, 4)
    for form in SMALLER:
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
