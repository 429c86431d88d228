"""``engine = "auto"``: the engine by the table in docs/concepts/serving-speed.md, and why in one line.

Covered: the format of the weights, a GPU that holds the model. Not covered: which quantization of llama.cpp is fastest;
many requests at once on a CPU, where vLLM may read faster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from freehold.engines.vllm import environment as vllm
from freehold.engines.vllm.weights import ADAPTER_WEIGHTS, KV_TYPES, adapter_folder
from freehold.errors import UsageError
from freehold.hardware.gguf_header import read_header
from freehold.hardware.probes import probe_machine
from freehold.settings import Settings
from freehold.types.endpoint import AdapterMount
from freehold.types.engine import ENGINE_KINDS, EngineName
from freehold.types.model import Weights

GPU_MARGIN = 1.25
"""Memory of a GPU that a model in 16 bits needs, cache included, over that of its weights."""


class Choice(NamedTuple):
    """The engine, and why."""

    engine: EngineName
    why: str


def choose(
    asked: str,
    weights: Weights,
    settings: Settings,
    *,
    adapters: Sequence[AdapterMount] = (),
    kv_type: str = "f16",
    quantization: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Choice:
    """The engine that was asked for, or that of the table. Raises `UsageError` for an unknown name."""
    if asked != "auto":
        kind = next((kind for kind in ENGINE_KINDS.values() if kind.name == asked), None)
        if kind is None:
            known = ", ".join(["auto", *ENGINE_KINDS])
            raise UsageError(f"no engine is called {asked!r}", hint=f"engines: {known}")
        return Choice(kind.name, "it was asked for")
    if weights.format != "gguf":
        return Choice("vllm", "the weights are safetensors")
    if (bound := _bound(adapters, kv_type, quantization, options)) is not None:
        return Choice("llamacpp", bound)
    installed = vllm.find(settings.home)
    if installed is None or weights.path is None:
        return Choice("llamacpp", "vLLM is not installed")
    if installed.device == "cpu":
        return Choice("llamacpp", "vLLM is installed for CPUs here")
    devices = probe_machine(settings.home).accelerators
    gpu_bytes = sum(device.memory_bytes for device in devices if not device.unified)
    weights_bytes = 2 * sum(math.prod(tensor.dims) for tensor in read_header(Path(weights.path)).tensors)
    if weights_bytes * GPU_MARGIN <= gpu_bytes:
        return Choice("vllm", "a GPU holds the model")
    return Choice("llamacpp", "the GPU is too small for the model in 16 bits")


def _bound(
    adapters: Sequence[AdapterMount],
    kv_type: str,
    quantization: str | None,
    options: Mapping[str, Any] | None,
) -> str | None:
    """Why only llama.cpp can do what was asked, if so."""
    if quantization is not None:
        return f"{quantization} was asked for, which vLLM would turn into 16 bits"
    if kv_type not in KV_TYPES:
        return f"the KV type {kv_type} is llama.cpp's"
    if options:
        return "options were given, which are those of llama.cpp unless another engine is named"
    unreadable = [mount.name for mount in adapters if not (adapter_folder(mount) / ADAPTER_WEIGHTS).is_file()]
    if unreadable:
        return f"the adapter {unreadable[0]} has no {ADAPTER_WEIGHTS}, which vLLM reads"
    return None
