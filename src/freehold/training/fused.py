"""A Llama decoder layer with LoRA, forward and backward written out.

PEFT makes the adapter and saves it; this file only computes with its weights, faster than the modules do:

- query, key and value (and gate and up) are one matrix product, and so are their LoRA halves: the A's are
  stacked, the B's lie on the diagonal of one small matrix;
- the LoRA result is added by the matrix product itself; so is the residual;
- nothing is kept for backward that is cheap to make again (normed inputs, the MLP's product);
- gradients go straight into the flat float32 buffer of `freehold.training.parameters`.

Formulas, for ``y = x Wᵀ + s (x Aᵀ) Bᵀ``: ``dx = dy W + (s dy B) A``, ``dA = (s dy B)ᵀ x``,
``dB = s dyᵀ (x Aᵀ)`` (Hu et al. 2021, arXiv:2106.09685). RMS norm (Zhang & Sennrich 2019, arXiv:1910.07467)
with ``n = x / rms(x)``: ``dx = (w dn − n mean(w dn · n)) / rms(x)``.

Covered: Llama and Mistral layers, any subset of the linear layers with LoRA or rsLoRA, no dropout.
Not covered (the modules then run as they are): 4-bit weights, DoRA, dropout on the LoRA path, other families.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from freehold.training.attention import packed_attention
from freehold.training.packing import Pack
from freehold.training.parameters import Parameters, differentiable


class Projection:
    """Frozen linear layers that read the same input, as one product, with their LoRA halves."""

    def __init__(self, linears: Sequence[Any], parameters: Parameters, dtype: torch.dtype) -> None:
        bases = [getattr(linear, "base_layer", linear) for linear in linears]
        self.weight = torch.cat([base.weight for base in bases]) if len(bases) > 1 else bases[0].weight
        self.bias = (
            torch.cat([base.bias for base in bases]) if all(b.bias is not None for b in bases) else None
        )
        self.sizes = [base.out_features for base in bases]
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

    def forward(self, x: torch.Tensor, onto: torch.Tensor | None = None) -> torch.Tensor:
        """``x Wᵀ + s (x Aᵀ) Bᵀ`` (+ `onto`)."""
        y = functional.linear(x, self.weight, self.bias)
        if onto is not None:
            y += onto
        if self.rank:
            y.addmm_(functional.linear(x, self.a), self.b)
        return y

    def backward(self, dy: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Gradient for `x`; the adapter's gradients are added where they belong."""
        dx = dy @ self.weight
        if self.rank:
            dh = functional.linear(dy, self.b)
            dx.addmm_(dh, self.a)
            da = dh.t() @ x
            db = functional.linear(x, self.a).t() @ dy
            at = 0
            for row, a, b, scale in self.lora:
                rank, size = a.shape[0], b.shape[0]
                a.gradient.add_(da[at : at + rank])
                b.gradient.add_(db[at : at + rank, row : row + size].t(), alpha=scale)
                at += rank
        return dx


class Layer(NamedTuple):
    """One decoder layer's parts."""

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


def _inverse_rms(x: torch.Tensor, eps: float) -> torch.Tensor:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return torch.rsqrt(norm.square_().div_(x.shape[-1]).add_(eps))


def _normed(x: torch.Tensor, inverse: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (x * inverse).to(x.dtype).mul_(weight)


def _norm_backward(
    dn: torch.Tensor, x: torch.Tensor, inverse: torch.Tensor, weight: torch.Tensor, onto: torch.Tensor | None
) -> torch.Tensor:
    """Gradient of the norm for `x`, added to `onto`."""
    slope = (dn * weight).float()
    shape = x * inverse
    along = (slope * shape).mean(dim=-1, keepdim=True)
    slope.addcmul_(shape, along, value=-1).mul_(inverse)
    return slope.to(x.dtype) if onto is None else slope.add_(onto).to(x.dtype)


class NormedProjection(torch.autograd.Function):
    """RMS norm and query, key, value."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: Layer) -> torch.Tensor:
        inverse = _inverse_rms(x, layer.eps)
        ctx.layer = layer
        ctx.save_for_backward(x, inverse)
        return layer.qkv.forward(_normed(x, inverse, layer.norm_in))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        x, inverse = ctx.saved_tensors
        layer = ctx.layer
        dn = layer.qkv.backward(grads[0], _normed(x, inverse, layer.norm_in))
        return _norm_backward(dn, x, inverse, layer.norm_in, None), None


class Output(torch.autograd.Function):
    """The attention's output projection and the residual."""

    @staticmethod
    def forward(ctx: Any, attended: torch.Tensor, x: torch.Tensor, layer: Layer) -> torch.Tensor:
        ctx.layer = layer
        ctx.save_for_backward(attended)
        return layer.out.forward(attended, onto=x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        (attended,) = ctx.saved_tensors
        return ctx.layer.out.backward(grads[0], attended), grads[0], None


class GatedMlp(torch.autograd.Function):
    """RMS norm, gate and up, SiLU, down, and the residual."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: Layer) -> torch.Tensor:
        inverse = _inverse_rms(x, layer.eps)
        both = layer.gate_up.forward(_normed(x, inverse, layer.norm_mlp))
        gate, up = both.chunk(2, dim=1)
        active = functional.silu(gate)
        ctx.layer = layer
        ctx.save_for_backward(x, inverse, both, active)
        return layer.down.forward(active * up, onto=x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        x, inverse, both, active = ctx.saved_tensors
        layer: Layer = ctx.layer
        dy = grads[0]
        gate, up = both.chunk(2, dim=1)
        inner = layer.down.backward(dy, active * up)
        d_both = torch.empty_like(both)
        d_gate, d_up = d_both.chunk(2, dim=1)
        torch.mul(inner, active, out=d_up)
        torch.ops.aten.silu_backward.grad_input(inner.mul_(up), gate, grad_input=d_gate)
        dn = layer.gate_up.backward(d_both, _normed(x, inverse, layer.norm_mlp))
        return _norm_backward(dn, x, inverse, layer.norm_mlp, dy), None


class Rotate(torch.autograd.Function):
    """Rotary position embedding of queries and keys in place (Su et al. 2021, arXiv:2104.09864)."""

    @staticmethod
    def forward(
        ctx: Any, qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int
    ) -> torch.Tensor:
        ctx.heads = heads
        ctx.save_for_backward(cos, sin)
        out = qkv.clone()
        _turn(qkv, out, cos, sin, heads)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        cos, sin = ctx.saved_tensors
        out = grads[0].clone()
        _turn(grads[0], out, cos, -sin, ctx.heads)
        return out, None, None, None


def _turn(source: torch.Tensor, out: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> None:
    half = source.shape[-1] // 2
    first, second = source[:, :heads, :half], source[:, :heads, half:]
    torch.mul(first, cos, out=out[:, :heads, :half]).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=out[:, :heads, half:]).addcmul_(first, sin)


class FusedDecoder:
    """All decoder layers of a Llama-like model; `forward` gives the last hidden states before the final norm."""

    def __init__(self, decoder: Any, parameters: Parameters, dtype: torch.dtype) -> None:
        config = decoder.config
        self.embed = decoder.embed_tokens
        self.rotary = decoder.rotary_emb
        self.layers = [
            Layer(
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
            and not config.use_dora
            and config.lora_dropout == 0
            and config.method == "lora"
        )

    def refresh(self) -> None:
        """Take the adapter's weights after a step of the optimizer."""
        for layer in self.layers:
            for projection in layer.projections():
                projection.refresh()

    def forward(self, pack: Pack) -> torch.Tensor:
        """Hidden states of all packed tokens, (tokens, width)."""
        x: torch.Tensor = self.embed(pack.ids).requires_grad_(torch.is_grad_enabled())
        cos, sin = self.rotary(x[None], pack.positions[None])
        half = cos.shape[-1] // 2
        cos, sin = cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()
        for layer in self.layers:
            rotated = layer.heads + layer.kv_heads
            qkv = differentiable(NormedProjection, x, layer)
            qkv = differentiable(Rotate, qkv.view(x.shape[0], -1, layer.width), cos, sin, rotated)
            query, key, value = torch.split(qkv, [layer.heads, layer.kv_heads, layer.kv_heads], dim=1)
            attended = packed_attention(query, key, value, pack, scale=layer.width**-0.5, window=layer.window)
            x = differentiable(Output, attended.reshape(x.shape[0], -1), x, layer)
            x = differentiable(GatedMlp, x, layer)
        return x
