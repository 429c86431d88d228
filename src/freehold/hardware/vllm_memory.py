"""How many bytes vLLM takes on accelerators, by part.

vLLM takes a share of each device (``gpu_memory_utilization``) and gives the cache what is left of it after weights,
the peak of a profiling run, and what lies outside PyTorch. The model below follows that order. No accelerator was at
hand: its figures for activations, libraries and graphs were set against reports vLLM users published
(docs/reference/memory-fit.md), and each part's basis says so.

Tensor parallel gives each device a part of every layer, which needs heads and widths that divide; pipeline parallel
gives each device whole layers. The rules follow vLLM: attention heads must be divisible
(``verify_with_parallel_config``), key and value heads are divided or copied (``QKVParallelLinear``), the width of a
part must be whole blocks of a quantization (its error "output_size … is not divisible by weight quantization
block_n"). Expert parallel goes round that: it gives each device whole experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from freehold.errors import UsageError
from freehold.hardware.memory import ServingLoad, layers_in_words
from freehold.hardware.tensors import Tensor, tensors
from freehold.types.machine import Accelerator, FitPart, Workload
from freehold.types.model import Shape
from freehold.visible import GIB, gib, mib

NODE_DEVICES = 8
"""Accelerators of one node: tensors are not split across nodes, whose links are slower."""
BLOCK_WIDTHS: dict[str, int] = {"FP8": 128, "AWQ": 128, "GPTQ": 128, "INT4": 32}
"""Numbers of a weight that share a scale, along the width that is split (MXFP4 is padded by the engine)."""


class Layout(NamedTuple):
    """Devices that hold a part of each layer, times devices that hold some of the layers. `experts`: whole experts are
    given to devices, since their widths cannot be split."""

    tensor: int = 1
    pipeline: int = 1
    experts: bool = False

    @property
    def devices(self) -> int:
        return self.tensor * self.pipeline

    @property
    def options(self) -> str:
        """The options of ``vllm serve``; empty for one device."""
        said = f"--tensor-parallel-size {self.tensor}" if self.tensor > 1 else ""
        said += f" --pipeline-parallel-size {self.pipeline}" if self.pipeline > 1 else ""
        return (said + (" --enable-expert-parallel" if self.experts else "")).strip()


ONE_DEVICE = Layout()


def tensor_layout(shape: Shape, size: int, form: str) -> Layout | None:
    """The layout that splits every tensor over `size` devices; None where the shape does not divide."""
    if size == 1:
        return Layout()
    if shape.heads % size or not _divides(shape.kv_heads, size, copies=shape.latent is None):
        return None
    recurrent = shape.recurrent
    if recurrent is not None and recurrent.heads % size:
        return None
    block = BLOCK_WIDTHS.get(form, 1)
    if shape.ffn and shape.ffn % (size * block):
        return None
    experts = shape.experts
    if experts is None or experts.ffn % (size * block) == 0:
        return Layout(size)
    return Layout(size, experts=True) if experts.count % size == 0 else None


def _divides(heads: int, size: int, *, copies: bool) -> bool:
    """Key and value heads are divided among devices, or each is copied to several."""
    return heads % size == 0 or (copies and size % max(1, heads) == 0)


def layout(shape: Shape, devices: int, form: str) -> Layout:
    """How this many devices are used: tensors split as far as they divide within a node, layers over the rest."""
    for size in range(min(devices, NODE_DEVICES), 0, -1):
        found = tensor_layout(shape, size, form) if devices % size == 0 else None
        if found is not None:
            return found._replace(pipeline=devices // size)
    return Layout(pipeline=devices)


def usual_layouts(shape: Shape, form: str, most: int) -> Iterator[Layout]:
    """Layouts people run, smallest first: tensors split within one node, then whole nodes one after the other."""
    whole = Layout()
    for size in range(1, min(most, NODE_DEVICES) + 1):
        found = tensor_layout(shape, size, form)
        if found is not None:
            whole = found
            yield found
    for nodes in range(2, most // NODE_DEVICES + 1):
        if whole.tensor == NODE_DEVICES:
            yield whole._replace(pipeline=nodes)


UTILISATION = 0.92
"""Share of a device that vLLM takes by default (0.9 before mid-2026)."""
BLOCK_TOKENS = 16
"""The cache is handed out in blocks of this many tokens."""
BATCH_TOKENS = 8192
"""Tokens of one step at most: the server's default on accelerators of 70 GiB and more (see `batch_tokens`)."""
SEQUENCES = 256
"""Sequences in flight the profiling run samples for."""
LIBRARY_BYTES = 300 << 20
GRAPH_BYTES = 350 << 20
COMMUNICATION_BYTES = 1833 << 20
"""What one device of several holds for talking to the others: vLLM's own report is 1.79 GiB more outside PyTorch with
``-tp 2`` than without (pull request 10511, 2024-12)."""
KV_BYTES = {"auto": 2, "f16": 2, "bf16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
"""Bytes of one number in the cache."""
WEIGHT_BITS: dict[str, float] = {
    "F32": 32,
    "BF16": 16,
    "F16": 16,
    "FP8": 8,
    "MXFP8": 8 + 8 / 32,
    "W8A8": 8,
    "INT8": 8,
    "MXFP4": 4 + 8 / 32,
    "NVFP4": 4 + 8 / 16,
    "INT4": 4 + 16 / 32,
    "AWQ": 4 + 16 / 128 + 4 / 128,
    "GPTQ": 4 + 16 / 128 + 4 / 128,
    "NF4": 4 + 32 / 64,
}
"""Bits of one weight of a linear layer with its scales; embeddings, norms and routers stay in 16. MXFP4: groups of 32
with an 8-bit scale, NVFP4: of 16, INT4: of 32 with a 16-bit scale, AWQ and GPTQ: of 128 with a 16-bit scale and a 4-bit
zero. FP8's scales of blocks of 128 × 128 are less than a thousandth."""
COPIED = ("attn_q_a.weight", "attn_kv_a_mqa.weight", "ffn_gate_inp.weight")
"""Tensors that every device of a tensor parallel group holds whole: MLA's way down, and routers."""


def _bits(quantization: str) -> float:
    bits = WEIGHT_BITS.get(quantization.upper())
    if bits is None:
        raise UsageError(
            f"quantization {quantization} is not one that vLLM serves well",
            hint=f"known: {', '.join(WEIGHT_BITS)}; GGUF quantizations belong to llama.cpp: --engine llamacpp",
        )
    return bits


def weights_bytes(shape: Shape, quantization: str, dense: str | None = None) -> int:
    """Bytes of all weights as vLLM holds them.

    `quantization` is of linear layers; where `dense` is given, of routed experts, and `dense` of the other layers.
    Raises `UsageError` for a quantization vLLM does not have.
    """
    routed, other = _bits(quantization), _bits(dense or quantization)
    return round(sum(_tensor_bytes(tensor, routed, other) for tensor in tensors(shape)))


def copied_bytes(shape: Shape, quantization: str, dense: str | None, layout: Layout) -> int:
    """Bytes of what a tensor parallel group holds more than once, beyond the first. A GGUF's types count as 8 bits."""
    other = WEIGHT_BITS.get((dense or quantization).upper(), 8)
    once = sum(
        _tensor_bytes(tensor, other, other) for tensor in tensors(shape) if tensor.name.endswith(COPIED)
    )
    return round(once) * (layout.tensor - 1)


def _tensor_bytes(tensor: Tensor, routed: float, other: float) -> float:
    linear = tensor.layer is not None and len(tensor.dims) > 1 and "ffn_gate_inp" not in tensor.name
    bits = routed if "_exps.weight" in tensor.name else other
    return tensor.values * (bits if linear else 16) / 8


def batch_tokens(device: Accelerator) -> int:
    """Tokens of one step at most, by default of the server: 16,384 from 160 GiB (vLLM 0.28), 8,192 from 70 GiB, else
    and on an A100 2,048 (``get_batch_defaults``). Of unified memory NVML tells nothing: the smallest is taken."""
    if device.unified or "a100" in device.name.lower() or device.memory_bytes < 70 * GIB:
        return 2048
    return BATCH_TOKENS if device.memory_bytes < 160 * GIB else 16_384


def kv_bytes(
    shape: Shape, workload: Workload, kv_type: str = "auto", batch_tokens: int = BATCH_TOKENS
) -> int:
    """Cache of all sequences, in whole blocks. Windows hold the window and one step's tokens."""
    size = KV_BYTES.get(kv_type)
    if size is None:
        raise UsageError(
            f"KV cache type {kv_type} is not known to vLLM",
            hint=f"known: {', '.join(KV_BYTES)}; q8_0 and q4_0 are of llama.cpp",
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


def kv_copies_bytes(
    shape: Shape, workload: Workload, kv_type: str, layout: Layout, batch_tokens: int = BATCH_TOKENS
) -> int:
    """Cache that a tensor parallel group holds more than once, beyond the first: latents on every device, a key/value
    head on several where there are fewer heads than devices."""
    extra = 0
    for copies in range(2, layout.tensor + 1):
        kept = tuple(
            kind if _copies(shape, layer, layout.tensor) == copies else "none"
            for layer, kind in enumerate(shape.attention)
        )
        if any(kind != "none" for kind in kept):
            part = msgspec.structs.replace(shape, attention=kept)
            extra += (copies - 1) * kv_bytes(part, workload, kv_type, batch_tokens)
    return extra


def _copies(shape: Shape, layer: int, devices: int) -> int:
    """On how many devices of a group the same part of a layer's cache lies."""
    kind = shape.attention[layer]
    if kind in ("none", "recurrent"):
        return 1
    if kind in ("full", "sliding", "chunked"):
        return max(1, devices // max(1, shape.kv_heads_at(layer)))
    return devices  # one vector of a token stands for all heads


def activation_bytes(shape: Shape, batch_tokens: int = BATCH_TOKENS, tensor: int = 1) -> int:
    """Peak of the profiling run on one device: the widest step's tensors in 16 bits, and the logits of all sequences.

    Of a layer with experts each token's result is kept once per expert until they are summed.
    """
    widest = 3 * shape.ffn // tensor
    if shape.experts is not None:
        used = shape.experts.per_token
        widest = max(widest, 3 * used * shape.experts.ffn // tensor, used * shape.hidden)
    return 2 * batch_tokens * (widest + 8 * shape.hidden) + 4 * SEQUENCES * shape.vocabulary


def vllm_parts(
    shape: Shape,
    load: ServingLoad,
    workload: Workload,
    *,
    layout: Layout = ONE_DEVICE,
    batch_tokens: int = BATCH_TOKENS,
) -> tuple[FitPart, ...]:
    """The parts of one model served by vLLM, over all devices. Bytes."""
    shown = f"{workload.context_tokens:,} tokens × {workload.concurrency} at once"
    parts = [FitPart(name="weights", bytes=load.weights_bytes, basis=load.weights_basis)]
    if load.adapters_bytes:
        parts.append(
            FitPart(name="adapters", bytes=load.adapters_bytes, basis="adapters held next to the base")
        )
    parts.append(
        FitPart(
            name="kv_cache",
            bytes=kv_bytes(shape, workload, load.kv_type, batch_tokens),
            basis=f"{shown}, {load.kv_type}, blocks of {BLOCK_TOKENS} tokens; {layers_in_words(shape)}",
        )
    )
    copies = kv_copies_bytes(shape, workload, load.kv_type, layout, batch_tokens)
    if load.copied_bytes or copies:
        basis = (
            f"what each of {layout.tensor} devices holds whole: "
            f"weights {gib(load.copied_bytes)}, cache {gib(copies)}"
        )
        parts.append(FitPart(name="copies", bytes=load.copied_bytes + copies, basis=basis))
    parts.append(
        FitPart(
            name="activations",
            bytes=activation_bytes(shape, batch_tokens, layout.tensor) * layout.devices,
            basis=f"peak of vLLM's profiling run: {batch_tokens:,} tokens, {SEQUENCES} sequences; modelled",
        )
    )
    own, between = LIBRARY_BYTES + GRAPH_BYTES, COMMUNICATION_BYTES if layout.devices > 1 else 0
    parts.append(
        FitPart(
            name="engine",
            bytes=(own + between) * layout.devices,
            basis=f"libraries and graphs on {layout.devices} × accelerator, assumed {mib(own)} each"
            + (f", and {mib(between)} for talking to one another" if between else ""),
        )
    )
    return tuple(parts)
