"""``engine = "auto"``: the engine by the table in docs/concepts/serving-speed.md, and why in one line.

Covered: the format of the weights, a GPU that holds the model, many requests at once on a CPU with matrix instructions.
Not covered: which quantization of llama.cpp is fastest.
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
from freehold.types.engine import EngineName
from freehold.types.model import Weights

MANY_STREAMS = 32
"""Requests at once from which vLLM on a CPU is taken, as the table says: it reads prompts twice as fast, and what it
writes adds up. ``benchmarks.serving.run --only quantizations`` measures whether that holds on a machine."""
GPU_MARGIN = 1.25
"""Memory of a GPU that a model in 16 bits needs, cache included, over that of its weights."""
MATRIX = ("AMX-BF16", "AVX-512-BF16")
"""Instructions without which vLLM on a CPU multiplies 16-bit numbers slowly."""


class Facts(NamedTuple):
    """What the choice rests on. `vllm_on` is the device of the vLLM that is installed (None: it is not), `gpu_bytes`
    the memory of all GPUs, `weights_bytes` the model in 16 bits. `bound` says why only llama.cpp will do."""

    format: str
    streams: int
    vllm_on: str | None = None
    gpu_bytes: int = 0
    weights_bytes: int = 0
    matrix: bool = False
    bound: str | None = None


class Choice(NamedTuple):
    """The engine, and why."""

    engine: EngineName
    why: str


def by_table(facts: Facts) -> Choice:
    """The row of the table that these facts fall in. Pure."""
    if facts.format != "gguf":
        return Choice("vllm", "the weights are safetensors")
    if facts.bound is not None:
        return Choice("llamacpp", facts.bound)
    if facts.vllm_on is None:
        return Choice("llamacpp", "vLLM is not installed")
    if facts.vllm_on != "cpu":
        if facts.weights_bytes * GPU_MARGIN <= facts.gpu_bytes:
            return Choice("vllm", "a GPU holds the model")
        return Choice("llamacpp", "the GPU is too small for the model in 16 bits")
    if facts.streams < MANY_STREAMS:
        return Choice("llamacpp", f"fewer than {MANY_STREAMS} requests at once, on a CPU")
    if not facts.matrix:
        return Choice("llamacpp", f"this CPU has neither {' nor '.join(MATRIX)}")
    return Choice("vllm", f"{facts.streams} requests at once, on a CPU with {MATRIX[0].partition('-')[0]}")


def choose(
    asked: str,
    weights: Weights,
    settings: Settings,
    *,
    streams: int = 1,
    adapters: Sequence[AdapterMount] = (),
    kv_type: str = "f16",
    quantization: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Choice:
    """The engine that was asked for, or that of the table. Raises `UsageError` for an unknown name."""
    if asked == "auto":
        return by_table(_facts(weights, settings, streams, _bound(adapters, kv_type, quantization, options)))
    names: tuple[EngineName, ...] = ("llamacpp", "vllm", "encoder", "ollama", "remote", "echo")
    for name in names:
        if name == asked:
            return Choice(name, "it was asked for")
    raise UsageError(f"no engine is called {asked!r}", hint=f"engines: auto, {', '.join(names)}")


def _facts(weights: Weights, settings: Settings, streams: int, bound: str | None) -> Facts:
    installed = vllm.find(settings.home)
    if weights.format != "gguf" or bound is not None or installed is None or weights.path is None:
        return Facts(weights.format, streams, bound=bound)
    machine = probe_machine(settings.home)
    return Facts(
        format=weights.format,
        streams=streams,
        vllm_on=installed.device,
        gpu_bytes=sum(device.memory_bytes for device in machine.accelerators if not device.unified),
        weights_bytes=2 * sum(math.prod(tensor.dims) for tensor in read_header(Path(weights.path)).tensors),
        matrix=any(name in machine.isa for name in MATRIX),
    )


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
