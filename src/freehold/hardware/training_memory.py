"""How many bytes training a model takes, by part: weights, adapter, gradients, optimizer, activations, loss.

Activations are what autograd keeps for the way back, of the modules of transformers with PEFT (rotary attention, gated
MLP, RMS norm): exact for Llama-like layers and checked against autograd's own saved tensors
(tests/hardware/test_training_memory.py). How far whole runs are off stands in docs/reference/memory-fit.md.

Covered: LoRA and QLoRA (NF4 with double quantization); AdamW; bf16 and fp32; packed rows with a shared prefix;
loss in chunks; checkpointed activations.
Not covered: several devices, offloading, DoRA's extra products. Layers with experts, latent or recurrent
attention are counted approximately, and the parts say so.
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

from freehold.errors import UsageError
from freehold.hardware.tensors import Tensor, parameter_count, tensors
from freehold.types.config import FinetuneConfig
from freehold.types.machine import FitPart
from freehold.types.model import Shape

PACK_TOKENS = 4096
"""Most tokens freehold computes at once; a batch over it is split, with the same gradient."""
CHUNK_ROWS = 256
"""Rows of logits freehold's loss makes at once (`freehold.training.loss`): 50 MB at a vocabulary of 49k."""
ROW_MULTIPLE = 64
"""A packed row is filled up to a multiple of this."""
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of one NF4 weight with double quantization: 4 bits, an 8-bit scale for 64, a float for 256 scales."""
PROCESS_BYTES = 560 << 20
"""The worker besides weights and activations: interpreter, torch, transformers, peft. Measured on a CPU."""
DEVICE_BYTES = 500 << 20
"""What a driver and its libraries take on an accelerator. An assumption, not measured here."""

PROJECTIONS: dict[str, str] = {
    "attn_q": "q_proj", "attn_k": "k_proj", "attn_v": "v_proj", "attn_qkv": "qkv_proj", "attn_output": "o_proj",
    "ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj",
}  # fmt: skip
"""A GGUF tensor's name → the module's name in transformers, as `target_modules` spells it."""
SAME_INPUT = (("attn_q", "attn_k", "attn_v"), ("ffn_gate", "ffn_up"))


class TrainingLoad(NamedTuple):
    """What goes through the layers at once.

    `packed_tokens` are the tokens of one row, `samples` the sequences in it, each of `sample_tokens`, of
    which the first `shared_tokens` are computed once for all. `target_tokens` are those with a loss.
    """

    method: Literal["lora", "qlora"]
    samples: int
    sample_tokens: int
    target_tokens: int
    shared_tokens: int = 0
    r: int = 16
    target_modules: str | tuple[str, ...] = "all-linear"
    value_bytes: int = 2
    checkpointing: bool = False
    device: Literal["cpu", "gpu"] = "cpu"

    @property
    def packed_tokens(self) -> int:
        plain = self.shared_tokens + self.samples * (self.sample_tokens - self.shared_tokens)
        return -(-plain // ROW_MULTIPLE) * ROW_MULTIPLE

    @staticmethod
    def of(
        config: FinetuneConfig,
        *,
        sample_tokens: int,
        target_tokens: int,
        shared_tokens: int = 0,
        value_bytes: int,
        device: Literal["cpu", "gpu"] = "cpu",
        checkpointing: bool = False,
    ) -> TrainingLoad:
        """The load of `freehold train` under a config: batches split to at most `PACK_TOKENS` at once."""
        if sample_tokens < 1 or target_tokens < 1 or not 0 <= shared_tokens < sample_tokens:
            raise UsageError(
                f"samples of {sample_tokens} tokens with {target_tokens} to learn and {shared_tokens} shared: "
                "there is nothing to train on"
            )
        at_once = min(config.batch_size, max(1, PACK_TOKENS // sample_tokens))
        return TrainingLoad(
            method=config.method,
            samples=at_once,
            sample_tokens=sample_tokens,
            target_tokens=at_once * min(target_tokens, sample_tokens),
            shared_tokens=shared_tokens if at_once > 1 else 0,
            r=config.r,
            value_bytes=value_bytes,
            device=device,
            checkpointing=checkpointing,
        )


def adapted(shape: Shape, targets: str | tuple[str, ...]) -> tuple[Tensor, ...]:
    """The linear layers that get an adapter. Experts are stacked tensors, which PEFT leaves alone."""
    return tuple(tensor for layer in _adapted_by_layer(shape, targets) for tensor in layer)


@functools.lru_cache(maxsize=8)
def _adapted_by_layer(shape: Shape, targets: str | tuple[str, ...]) -> tuple[tuple[Tensor, ...], ...]:
    """The adapted tensors of each layer. Kept, since each part of the count asks for all layers: looked through for
    each of them, a model of 100 layers would be looked through a hundred times for each."""
    found: list[list[Tensor]] = [[] for _ in range(shape.layers)]
    for tensor in tensors(shape):
        kind = _kind(tensor)
        if tensor.layer is None or len(tensor.dims) != 2 or not _is_linear(kind):
            continue
        if isinstance(targets, str) or PROJECTIONS.get(kind, kind) in targets or kind in targets:
            found[tensor.layer].append(tensor)
    if not any(found):
        raise UsageError(
            f"no linear layer of this model is called {targets if isinstance(targets, str) else ', '.join(targets)}",
            hint=f'"all-linear", or some of {", ".join(PROJECTIONS.values())}',
        )
    return tuple(map(tuple, found))


def smallest_side(shape: Shape) -> int:
    """The narrowest side of any layer that gets an adapter: a rank above it holds no more than the layer itself."""
    return min(min(tensor.dims) for tensor in adapted(shape, "all-linear"))


def _kind(tensor: Tensor) -> str:
    return tensor.name.removesuffix(".weight").rpartition(".")[2]


def _is_linear(kind: str) -> bool:
    return not kind.endswith(("norm", "conv1d", "conv", "bias", "sinks", "ssm_a", "ssm_d", "ffn_gate_inp"))


def trainable_count(shape: Shape, load: TrainingLoad) -> int:
    """Weights that are trained: ``r · (in + out)`` for each adapted layer."""
    return sum(load.r * sum(tensor.dims) for tensor in adapted(shape, load.target_modules))


def training_parts(shape: Shape, load: TrainingLoad) -> tuple[FitPart, ...]:
    """The parts of one training run at its peak, each with the reason for its size. Bytes."""
    n = load.packed_tokens
    trained = trainable_count(shape, load)
    kept = round(n * kept_per_token(shape, load))
    shown = f"{load.samples} × {load.sample_tokens:,} tokens at once"
    if load.shared_tokens:
        shown += f", the first {load.shared_tokens:,} shared"
    parts = [_weights(shape, load)]
    parts.append(FitPart(name="adapter", bytes=4 * trained, basis=f"{trained:,} weights, float32"))
    parts.append(FitPart(name="gradients", bytes=4 * trained, basis="one float32 per adapter weight"))
    parts.append(FitPart(name="optimizer", bytes=8 * trained, basis="AdamW: two moments per weight"))
    how = "one input per layer, and one layer in full" if load.checkpointing else "kept for the way back"
    parts.append(FitPart(name="activations", bytes=kept, basis=f"{shown}; {how}{_approximate(shape)}"))
    passing = max(_logits(shape, load), n * _passing_per_token(shape, load))
    parts.append(FitPart(name="passing", bytes=passing, basis=_passing_basis(shape, load)))
    fixed = PROCESS_BYTES if load.device == "cpu" else DEVICE_BYTES
    basis = (
        "the worker: interpreter and libraries; measured"
        if load.device == "cpu"
        else f"driver and libraries, assumed {DEVICE_BYTES >> 20} MiB"
    )
    parts.append(FitPart(name="process", bytes=fixed, basis=basis))
    return tuple(parts)


def _weights(shape: Shape, load: TrainingLoad) -> FitPart:
    count = parameter_count(shape)
    if load.method != "qlora":
        kind = {2: "bf16", 4: "float32"}[load.value_bytes]
        return FitPart(name="weights", bytes=load.value_bytes * count, basis=f"{count:,} in {kind}")
    four_bit = sum(
        tensor.values
        for tensor in tensors(shape)
        if tensor.layer is not None and len(tensor.dims) == 2 and _is_linear(_kind(tensor))
    )
    size = round(four_bit * NF4_BYTES) + load.value_bytes * (count - four_bit)
    return FitPart(name="weights", bytes=size, basis=f"{four_bit:,} of {count:,} in NF4, the rest as loaded")


class _Size(NamedTuple):
    """Widths of one layer, in numbers per token: queries, keys and values together, attention's result, the
    feed-forward's inner width as one token meets it."""

    q: int
    kv: int
    out: int
    ffn: int


def _size(shape: Shape, layer: int) -> _Size:
    kind = shape.attention[layer]
    if kind == "latent":
        assert shape.latent is not None
        latent = shape.latent
        q = shape.heads * (latent.nope_dim + latent.rope_dim)
        out = shape.heads * latent.value_dim
        sizes = (q, q + out, out)
    elif kind == "recurrent":
        assert shape.recurrent is not None
        inner = shape.recurrent.inner or shape.hidden
        sizes = (inner, 2 * inner, inner)
    elif kind == "none":
        sizes = (0, 0, 0)
    elif kind == "compressed":
        sizes = (shape.heads * shape.head_dim, shape.head_dim, shape.heads * shape.head_dim)
    else:
        kv, width, value = shape.kv_heads_at(layer), shape.head_dim_at(layer), shape.value_dim_at(layer)
        sizes = (shape.heads * width, kv * (width + value), shape.heads * value)
    return _Size(*sizes, _inner(shape, layer))


def _inner(shape: Shape, layer: int) -> int:
    experts = shape.experts
    if experts is None or not experts.at(layer):
        return shape.ffn
    shared = experts.shared * experts.ffn if experts.shared_ffn is None else experts.shared_ffn
    return experts.per_token * experts.ffn + shared


def kept_per_token(shape: Shape, load: TrainingLoad) -> float:
    """Bytes of activations kept for one token, over all layers, without attention's probabilities."""
    layers = [_layer(shape, load, layer) for layer in range(shape.layers)]
    if load.checkpointing:
        return load.value_bytes * shape.hidden * shape.layers + max(layers)
    return sum(layers)


def _layer(shape: Shape, load: TrainingLoad, layer: int) -> float:
    e, size, hidden = load.value_bytes, _size(shape, layer), shape.hidden
    norms = shape.norms_per_layer * (4 * hidden + 4)
    if shape.qk_norm == "head":
        norms += 4 * (size.q + size.kv // 2)
    # PyTorch's attention keeps q, k, v, its result and a float per head; keys and values that samples share stand there
    # once for each.
    repeated = load.samples * load.sample_tokens / load.packed_tokens
    attention = e * (size.q + size.kv * max(1.0, repeated) + size.out) + 4 * shape.heads
    inner = (3 if shape.gated_ffn else 2) * e * size.ffn
    return norms + attention + inner + _adapter_inputs(shape, load, layer)


def _adapter_inputs(shape: Shape, load: TrainingLoad, layer: int) -> float:
    """PEFT computes in float32: each adapted layer keeps its input as a copy of its own, and ``x Aᵀ``."""
    here = _adapted_by_layer(shape, load.target_modules)[layer]
    total = sum(4 * tensor.dims[0] + 4 * load.r for tensor in here)
    if load.value_bytes == 4:  # no copies: layers that read the same input share it
        kinds = {_kind(tensor): tensor.dims[0] for tensor in here}
        for group in SAME_INPUT:
            present = [kinds[kind] for kind in group if kind in kinds]
            total -= 4 * sum(present[1:])
    return float(total)


def _logits(shape: Shape, load: TrainingLoad) -> int:
    """Logits of one chunk, their log-softmax and its gradient, in float32."""
    rows = min(CHUNK_ROWS, load.target_tokens)
    return 12 * rows * shape.vocabulary


def _passing_per_token(shape: Shape, load: TrainingLoad) -> int:
    """Bytes per token alive for a moment in the widest step backwards: the MLP's gradients and its norm's."""
    e, hidden = load.value_bytes, shape.hidden
    widest = max(_size(shape, layer).ffn for layer in range(shape.layers))
    return e * (3 * widest + 2 * hidden) + 12 * hidden


def _passing_basis(shape: Shape, load: TrainingLoad) -> str:
    if _logits(shape, load) < load.packed_tokens * _passing_per_token(shape, load):
        return "gradients on their way through the widest layer"
    rows = min(CHUNK_ROWS, load.target_tokens)
    return f"logits of {rows:,} tokens × {shape.vocabulary:,} words and their gradient"


def _approximate(shape: Shape) -> str:
    kinds: list[str] = [name for name in ("latent", "compressed", "recurrent") if name in shape.attention]
    if shape.experts is not None:
        kinds.append("expert")
    return f"; {' and '.join(kinds)} layers are counted approximately" if kinds else ""
