"""How many bytes vLLM takes on accelerators, by part.

vLLM takes a share of each device (``gpu_memory_utilization``) and gives the cache what is left of it after weights,
the peak of a profiling run, and what lies outside PyTorch. The model below follows that order. No accelerator was at
hand: its figures for activations, libraries and graphs were set against reports vLLM users published
(docs/reference/memory-fit.md), and each part's basis says so.
"""

from __future__ import annotations

from freehold.errors import UsageError
from freehold.hardware.memory import ServingLoad, layers_in_words
from freehold.hardware.tensors import tensors
from freehold.types.machine import FitPart, Workload
from freehold.types.model import Shape

UTILISATION = 0.92
"""Share of a device that vLLM takes by default (0.9 before mid-2026)."""
BLOCK_TOKENS = 16
"""The cache is handed out in blocks of this many tokens."""
BATCH_TOKENS = 8192
"""Tokens of one step at most: the server's default on large accelerators (2,048 on small ones)."""
SEQUENCES = 256
"""Sequences in flight the profiling run samples for."""
LIBRARY_BYTES = 300 << 20
GRAPH_BYTES = 350 << 20
KV_BYTES = {"auto": 2, "f16": 2, "bf16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
"""Bytes of one number in the cache."""
WEIGHT_BITS: dict[str, float] = {
    "BF16": 16,
    "F16": 16,
    "FP8": 8,
    "W8A8": 8,
    "AWQ": 4 + 16 / 128 + 4 / 128,
    "GPTQ": 4 + 16 / 128 + 4 / 128,
    "NF4": 4 + 32 / 64,
}
"""Bits of one weight of a linear layer; embeddings, norms and routers stay in 16. AWQ and GPTQ: groups of 128
with a 16-bit scale and a 4-bit zero."""


def weights_bytes(shape: Shape, quantization: str) -> int:
    """Bytes of all weights as vLLM holds them. Raises `UsageError` for a quantization it does not have."""
    bits = WEIGHT_BITS.get(quantization.upper())
    if bits is None:
        raise UsageError(
            f"quantization {quantization} is not one that vLLM serves well",
            hint=f"known: {', '.join(WEIGHT_BITS)}; GGUF quantizations belong to llama.cpp: --engine llamacpp",
        )
    total = 0.0
    for tensor in tensors(shape):
        linear = tensor.layer is not None and len(tensor.dims) > 1 and "ffn_gate_inp" not in tensor.name
        total += tensor.values * (bits if linear else 16) / 8
    return round(total)


def kv_bytes(
    shape: Shape, workload: Workload, kv_type: str = "auto", batch_tokens: int = BATCH_TOKENS
) -> int:
    """Cache of all sequences, in whole blocks. Windows hold the window and one step's tokens."""
    size = KV_BYTES.get(kv_type)
    if size is None:
        raise UsageError(
            f"KV cache type {kv_type} is not known to vLLM", hint=f"known: {', '.join(KV_BYTES)}"
        )
    asked = _blocks(workload.context_tokens)
    total = 0
    for layer, kind in enumerate(shape.attention):
        if kind == "none" or shape.borrows_cache(layer):
            continue
        if kind == "recurrent":
            assert shape.recurrent is not None
            kept = shape.recurrent
            # The convolution's state is kept like activations, the recurrent one in float32.
            total += 2 * (kept.conv_kernel - 1) * kept.conv_channels + 4 * kept.state_values
            continue
        if kind == "compressed":
            assert shape.compressed is not None
            vectors, indexed = shape.compressed.entries(layer, asked, shape.sliding_window or asked)
            total += (vectors * shape.head_dim + indexed * shape.compressed.index_dim) * size
            continue
        held = asked
        if kind in ("sliding", "chunked") and shape.sliding_window:
            held = min(asked, _blocks(shape.sliding_window - 1 + batch_tokens))
        if kind == "latent":
            assert shape.latent is not None
            width = shape.latent.kv_rank + shape.latent.rope_dim
        else:
            width = shape.kv_heads_at(layer) * (shape.head_dim_at(layer) + shape.value_dim_at(layer))
        total += held * width * size
    return total * workload.concurrency


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS


def activation_bytes(shape: Shape, batch_tokens: int = BATCH_TOKENS) -> int:
    """Peak of the profiling run: the widest step's tensors in 16 bits, and the logits of all sequences."""
    ffn = shape.ffn
    if shape.experts is not None:
        ffn = max(ffn, shape.experts.per_token * shape.experts.ffn)
    return 2 * batch_tokens * (3 * ffn + 8 * shape.hidden) + 4 * SEQUENCES * shape.vocabulary


def vllm_parts(
    shape: Shape, load: ServingLoad, workload: Workload, *, devices: int = 1
) -> tuple[FitPart, ...]:
    """The parts of one model served by vLLM, over all devices. Bytes."""
    cache = kv_bytes(shape, workload, load.kv_type)
    shown = f"{workload.context_tokens:,} tokens × {workload.concurrency} at once"
    parts = [FitPart(name="weights", bytes=load.weights_bytes, basis=load.weights_basis)]
    if load.adapters_bytes:
        parts.append(
            FitPart(name="adapters", bytes=load.adapters_bytes, basis="adapters held next to the base")
        )
    parts.append(
        FitPart(
            name="kv_cache",
            bytes=cache,
            basis=f"{shown}, {load.kv_type}, blocks of {BLOCK_TOKENS} tokens; {layers_in_words(shape)}",
        )
    )
    parts.append(
        FitPart(
            name="activations",
            bytes=activation_bytes(shape) * devices,
            basis=f"peak of vLLM's profiling run: {BATCH_TOKENS:,} tokens, {SEQUENCES} sequences; modelled",
        )
    )
    parts.append(
        FitPart(
            name="engine",
            bytes=(LIBRARY_BYTES + GRAPH_BYTES) * devices,
            basis=f"libraries and graphs on {devices} × accelerator, assumed "
            f"{(LIBRARY_BYTES + GRAPH_BYTES) >> 20} MiB each",
        )
    )
    return tuple(parts)
