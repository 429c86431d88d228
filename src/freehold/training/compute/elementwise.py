"""What a decoder layer computes between its matrix products, forward and backward.

Each function has two ways: compiled loops (`freehold.training.compute.kernels`) and PyTorch's operations. The loops
compute in float32 and round once.

RMS norm (Zhang & Sennrich 2019, arXiv:1910.07467) with ``n = x / rms(x)``: ``dx = (w dn − n mean(w dn · n)) /
rms(x)``. SwiGLU (Shazeer 2020, arXiv:2002.05202). Rotary embedding (Su et al. 2021, arXiv:2104.09864).
"""

from __future__ import annotations

import torch
from torch.nn import functional

from freehold.training.compute import kernels


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The norm of rows, and 1/rms of each, float32 (rows, 1)."""
    native = kernels.for_tensors(x, weight)
    if native is not None:
        out, inverse = torch.empty_like(x), x.new_empty(x.shape[0], 1, dtype=torch.float32)
        native.call("rms_norm", x, weight, out, inverse, *x.shape, float(eps))
        return out, inverse
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    inverse = torch.rsqrt(norm.square_().div_(x.shape[-1]).add_(eps))
    return (x * inverse).to(x.dtype).mul_(weight), inverse


def rms_norm_backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    inverse: torch.Tensor,
    weight: torch.Tensor,
    onto: torch.Tensor | None,
) -> torch.Tensor:
    """Gradient of the norm for `x`, added to `onto`."""
    native = kernels.for_tensors(grad, x, weight)
    if native is not None:
        out = torch.empty_like(x)
        onto = None if onto is None else onto.contiguous()
        native.call("rms_norm_backward", grad, x, inverse, weight, onto, out, *x.shape)
        return out
    slope = (grad * weight).float()
    shape = x * inverse
    along = (slope * shape).mean(dim=-1, keepdim=True)
    slope.addcmul_(shape, along, value=-1).mul_(inverse)
    return slope.to(x.dtype) if onto is None else slope.add_(onto).to(x.dtype)


def swiglu(both: torch.Tensor) -> torch.Tensor:
    """``silu(gate) · up`` of (rows, gate | up)."""
    rows, width = both.shape[0], both.shape[1] // 2
    native = kernels.for_tensors(both)
    if native is not None:
        out = both.new_empty(rows, width)
        native.call("swiglu", both, out, rows, width)
        return out
    gate, up = both.chunk(2, dim=1)
    return functional.silu(gate).mul_(up)


def swiglu_backward(grad: torch.Tensor, both: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient for `both`, and `swiglu` of it again."""
    out, inner = torch.empty_like(both), torch.empty_like(grad)
    native = kernels.for_tensors(grad, both)
    if native is not None:
        native.call("swiglu_backward", grad, both, out, inner, *grad.shape)
        return out, inner
    gate, up = both.chunk(2, dim=1)
    d_gate, d_up = out.chunk(2, dim=1)
    active = functional.silu(gate)
    torch.mul(grad, active, out=d_up)
    torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=d_gate)
    return out, torch.mul(active, up, out=inner)


def rotate_(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, turned: int, *, back: bool) -> None:
    """Turn the first `turned` heads of (rows, heads, width) in place, or back; cos and sin are (rows, width / 2)."""
    half = x.shape[-1] // 2
    native = kernels.for_tensors(x, cos, sin)
    if native is not None:
        native.call("rotate", x, cos, sin, x.shape[0], x.shape[1], turned, half, -1.0 if back else 1.0)
        return
    cos, sin = cos[:, None], (-sin if back else sin)[:, None]
    first, second = x[:, :turned, :half], x[:, :turned, half:]
    turned_first = (first * cos).addcmul_(second, sin, value=-1)
    second.mul_(cos).addcmul_(first, sin)
    first.copy_(turned_first)


def cross_entropy_(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Make logits their gradient in place; returns −log p(target) and whether it is the most likely, per row.

    None where no loops are compiled for them.
    """
    native = kernels.for_tensors(logits)
    if native is None:
        return None
    loss = logits.new_empty(logits.shape[0], dtype=torch.float32)
    right = logits.new_empty(logits.shape[0], dtype=torch.bool)
    native.call("cross_entropy", logits, targets, loss, right, *logits.shape)
    return loss, right
