"""What would hold a model with vLLM where a machine does not: a smaller form, a smaller cache, more accelerators."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from freehold.hardware.parallel import usual_layouts
from freehold.hardware.vllm_memory import WEIGHT_BITS
from freehold.types.machine import Fit, Machine
from freehold.types.units import gib
from freehold.workflows.fit.sizes import SizedModel
from freehold.workflows.fit.vllm import as_served, release_in

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
