"""A Llama decoder layer with LoRA, forward and backward written out.

PEFT makes the adapter and saves it; this file only computes with its weights, faster than the modules do:

- query, key and value (and gate and up) are one matrix product, and so are their LoRA halves: the A's are
  stacked, the B's lie on the diagonal of one small matrix;
- the LoRA result is added by the matrix product itself; so is the residual;
- nothing is kept for backward that is cheap to make again (normed inputs, the MLP's product);
- gradients go straight into the flat float32 buffer of `freehold.training.compute.kernels`.

Formulas, for ``y = x Wᵀ + s (x Aᵀ) Bᵀ``: ``dx = dy W + (s dy B) A``, ``dA = (s dy B)ᵀ x``,
``dB = s dyᵀ (x Aᵀ)`` (Hu et al. 2021, arXiv:2106.09685). What lies between the products is in
`freehold.training.compute.kernels`.

Covered: Llama and Mistral layers, any subset of the linear layers with LoRA or rsLoRA, no dropout.
Not covered (the modules then run as they are): 4-bit weights, DoRA, dropout on the LoRA path, other families.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from freehold.training.compute import attention
from freehold.training.compute.kernels import (
    Parameters,
    differentiable,
    rms_norm,
    rms_norm_backward,
    rotate_,
    swiglu,
    swiglu_backward,
)
from freehold.training.compute.packing import Pack


class Projection:
    """Frozen linear layers that read the same input, as one product, with their LoRA halves."""

    def __init__(self, linears: Sequence[Any], parameters: Parameters, dtype: torch.dtype) -> None:
        bases = [getattr(linear, "base_layer", linear) for linear in linears]
        self.weight = torch.cat([base.weight for base in bases]) if len(bases) > 1 else bases[0].weight
        self.bias = (
            torch.cat([base.bias for base in bases]) if all(b.bias is not None for b in bases) else None
        )
        self.sizes = [base.out_features for base in bases]
        if len(bases) > 1:  # The model's own layers are views of the joined weights: nothing is stored twice.
            for base, part in zip(bases, self.weight.split(self.sizes), strict=True):
                base.weight.data = part
        self.lora: list[tuple[int, Any, Any, float]] = []
        row = 0
        for linear, size in zip(linears, self.sizes, strict=True):
            if hasattr(linear, "lora_A"):
                a = parameters.view(linear.lora_A["default"].weight)
                b = parameters.view(linear.lora_B["default"].weight)
                self.lora.append((row, a, b, float(linear.scaling["default"])))
            row += size
        self.rank = sum(a.shape[0] for _, a, _, _ in self.lora)
        self.a = torch.empty(self.rank, self.weight.shape[1], dtype=dtype, device=self.weight.device)
        # The scaling lives in here, so that backward gets it for free.
        self.b = torch.zeros(self.rank, self.weight.shape[0], dtype=dtype, device=self.weight.device)

    def refresh(self) -> None:
        """Take the adapter's current weights."""
        at = 0
        for row, a, b, scale in self.lora:
            rank, size = a.shape[0], b.shape[0]
            self.a[at : at + rank] = a.value
            self.b[at : at + rank, row : row + size] = b.value.t() * scale
            at += rank

    def forward(
        self, x: torch.Tensor, onto: torch.Tensor | None = None, into: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """``x Wᵀ + s (x Aᵀ) Bᵀ`` (+ `onto`), written `into`, and ``x Aᵀ``, which `backward` needs."""
        y = torch.mm(x, self.weight.t(), out=into)
        if self.bias is not None:
            y += self.bias
        if onto is not None:
            y += onto
        if not self.rank:
            return y, None
        low = functional.linear(x, self.a)
        return y.addmm_(low, self.b), low

    def backward(
        self, dy: torch.Tensor, low: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Gradient for `x`, and what `accumulate_gradient` needs; B's gradients are added here."""
        dx = dy @ self.weight
        if low is None:
            return dx, None
        d_low = functional.linear(dy, self.b)
        db = low.t() @ dy
        at = 0
        for row, a, b, scale in self.lora:
            rank, size = a.shape[0], b.shape[0]
            b.gradient.add_(db[at : at + rank, row : row + size].t(), alpha=scale)
            at += rank
        return dx.addmm_(d_low, self.a), d_low

    def accumulate_gradient(self, d_low: torch.Tensor | None, x: torch.Tensor) -> None:
        """Add A's gradients."""
        if d_low is None:
            return
        da = d_low.t() @ x
        at = 0
        for _, a, _, _ in self.lora:
            a.gradient.add_(da[at : at + a.shape[0]])
            at += a.shape[0]


class ScratchMemory:
    """Memory that a layer keeps from step to step.

    What is kept for backward is large and has another length at every step. Allocated again each time it leaves
    gaps that nothing fits into, and the process grows; here it grows only when a step is longer than all before.
    """

    def __init__(self) -> None:
        self._kept: dict[str, torch.Tensor] = {}

    def take(self, name: str, rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
        """(rows, columns) of undefined content, valid until the same name is taken again."""
        kept = self._kept.get(name)
        if kept is None or kept.numel() < rows * columns:
            self._kept.pop(name, None)
            kept = self._kept[name] = like.new_empty(rows * columns)
        return kept[: rows * columns].view(rows, columns)

    def clear(self) -> None:
        self._kept.clear()


class DecoderLayer(NamedTuple):
    """One decoder layer's parts."""

    room: ScratchMemory

    qkv: Projection
    out: Projection
    gate_up: Projection
    down: Projection
    norm_in: torch.Tensor
    norm_mlp: torch.Tensor
    eps: float
    heads: int
    kv_heads: int
    width: int
    window: int | None

    def projections(self) -> tuple[Projection, ...]:
        return self.qkv, self.out, self.gate_up, self.down

    def split(self, qkv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Views of query, key and value of (tokens, heads of all three, width)."""
        query, key, value = torch.split(qkv, [self.heads, self.kv_heads, self.kv_heads], dim=1)
        return query, key, value


class AttentionBlock(torch.autograd.Function):
    """RMS norm, query, key, value, rotation, attention, output projection, and the residual."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, layer: DecoderLayer, cos: torch.Tensor, sin: torch.Tensor, pack: Pack
    ) -> torch.Tensor:
        normed, inverse = rms_norm(x, layer.norm_in, layer.eps)
        room = layer.room.take("qkv", x.shape[0], layer.qkv.weight.shape[0], x)
        qkv, low = layer.qkv.forward(normed, into=room)
        qkv = qkv.view(x.shape[0], -1, layer.width)
        rotate_(qkv, cos, sin, layer.heads + layer.kv_heads, back=False)
        attended = layer.room.take("attended", x.shape[0], layer.heads * layer.width, x).zero_()
        kept = attention.forward(
            *layer.split(qkv),
            pack,
            layer.width**-0.5,
            layer.window,
            into=attended.view(x.shape[0], layer.heads, layer.width),
        )
        ctx.layer, ctx.pack = layer, pack
        out, out_low = layer.out.forward(attended, onto=x)
        ctx.save_for_backward(x, inverse, qkv, attended, cos, sin, low, out_low, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, inverse, qkv, attended, cos, sin, low, out_low, *kept = ctx.saved_tensors
        layer: DecoderLayer = ctx.layer
        grad, d_low = layer.out.backward(grads[0], out_low)
        layer.out.accumulate_gradient(d_low, attended)
        d_qkv = torch.zeros_like(qkv)
        attention.backward(
            grad.view(x.shape[0], layer.heads, layer.width),
            *layer.split(qkv),
            kept,
            ctx.pack,
            layer.width**-0.5,
            layer.window,
            into=layer.split(d_qkv),
        )
        rotate_(d_qkv, cos, sin, layer.heads + layer.kv_heads, back=True)
        dn, d_low = layer.qkv.backward(d_qkv.view(x.shape[0], -1), low)
        layer.qkv.accumulate_gradient(d_low, rms_norm(x, layer.norm_in, layer.eps)[0])
        return rms_norm_backward(dn, x, inverse, layer.norm_in, grads[0]), None, None, None, None


class GatedMlp(torch.autograd.Function):
    """RMS norm, gate and up, SiLU, down, and the residual."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: DecoderLayer) -> torch.Tensor:
        normed, inverse = rms_norm(x, layer.norm_mlp, layer.eps)
        room = layer.room.take("both", x.shape[0], layer.gate_up.weight.shape[0], x)
        both, low = layer.gate_up.forward(normed, into=room)
        out, down_low = layer.down.forward(swiglu(both), onto=x)
        ctx.layer = layer
        ctx.save_for_backward(x, inverse, both, low, down_low)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        x, inverse, both, low, down_low = ctx.saved_tensors
        layer: DecoderLayer = ctx.layer
        d_inner, d_low = layer.down.backward(grads[0], down_low)
        d_both, inner = swiglu_backward(d_inner, both)
        layer.down.accumulate_gradient(d_low, inner)
        dn, d_low = layer.gate_up.backward(d_both, low)
        layer.gate_up.accumulate_gradient(d_low, rms_norm(x, layer.norm_mlp, layer.eps)[0])
        return rms_norm_backward(dn, x, inverse, layer.norm_mlp, grads[0]), None


class FusedDecoder:
    """All decoder layers of a Llama-like model; `forward` gives the last hidden states before the final norm."""

    def __init__(self, decoder: Any, parameters: Parameters, dtype: torch.dtype) -> None:
        config = decoder.config
        self._recompute = False
        self.embed = decoder.embed_tokens
        self.rotary = decoder.rotary_emb
        self.layers = [
            DecoderLayer(
                room=ScratchMemory(),
                qkv=Projection(
                    [layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj],
                    parameters,
                    dtype,
                ),
                out=Projection([layer.self_attn.o_proj], parameters, dtype),
                gate_up=Projection([layer.mlp.gate_proj, layer.mlp.up_proj], parameters, dtype),
                down=Projection([layer.mlp.down_proj], parameters, dtype),
                norm_in=layer.input_layernorm.weight,
                norm_mlp=layer.post_attention_layernorm.weight,
                eps=config.rms_norm_eps,
                heads=config.num_attention_heads,
                kv_heads=config.num_key_value_heads,
                width=layer.self_attn.head_dim,
                window=getattr(config, "sliding_window", None),
            )
            for layer in decoder.layers
        ]

    @staticmethod
    def covers(decoder: Any, config: Any) -> bool:
        """Whether the layers are of a kind this file computes, under this `FinetuneConfig`."""
        kind = type(decoder.layers[0]).__name__
        return (
            kind in ("LlamaDecoderLayer", "MistralDecoderLayer")
            and decoder.config.hidden_act == "silu"
            and config.method == "lora"
        )

    def refresh(self) -> None:
        """Take the adapter's weights after a step of the optimizer."""
        for layer in self.layers:
            for projection in layer.projections():
                projection.refresh()

    def recompute(self) -> None:
        """Keep only each layer's input from now on, and compute the layer again in the backward pass (Chen et al. 2016,
        arXiv:1604.06174). One layer at a time is then whole in memory, so all of them share one scratch memory."""
        self.release()
        room = ScratchMemory()
        self.layers = [layer._replace(room=room) for layer in self.layers]
        self._recompute = True

    def release(self) -> None:
        """Give back the memory that is kept between steps."""
        for layer in self.layers:
            layer.room.clear()

    def forward(self, pack: Pack) -> torch.Tensor:
        """Hidden states of all packed tokens, (tokens, width)."""
        x: torch.Tensor = self.embed(pack.ids).requires_grad_(torch.is_grad_enabled())
        cos, sin = self.rotary(x[None], pack.positions[None])
        half = cos.shape[-1] // 2
        cos, sin = cos[0, :, :half].contiguous(), sin[0, :, :half].contiguous()
        for layer in self.layers:
            if self._recompute and torch.is_grad_enabled():
                x = checkpoint(
                    _layer, x, layer, cos, sin, pack, use_reentrant=False, preserve_rng_state=False
                )
            else:
                x = _layer(x, layer, cos, sin, pack)
        return x


def _layer(
    x: torch.Tensor, layer: DecoderLayer, cos: torch.Tensor, sin: torch.Tensor, pack: Pack
) -> torch.Tensor:
    return differentiable(GatedMlp, differentiable(AttentionBlock, x, layer, cos, sin, pack), layer)
