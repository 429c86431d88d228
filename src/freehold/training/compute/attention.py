"""Attention over a `Pack`: each sample sees itself and the shared prefix, and no other sample.

`packed_attention` is one differentiable function over the whole row. Short blocks are computed with explicit
batched products, where the heads that share a key lie side by side in one product: on CPUs that is more than
twice as fast as the fused kernel's backward at these lengths. Long blocks go through PyTorch's
``scaled_dot_product_attention`` and are computed again in backward, so memory stays linear in length.

`register` makes it known to transformers as `NAME`: every architecture that goes through its attention
interface can be trained packed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from freehold.training.compute import kernels
from freehold.training.compute.kernels import differentiable
from freehold.training.compute.packing import Group, Pack

NAME = "freehold_packed"

# Up to this many scores in a block (rows × heads × queries × keys) they are kept for backward.
_EXPLICIT_SCORES = 8_000_000


@functools.lru_cache(maxsize=256)
def _mask(
    length: int, prefix: int, window: int | None, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """(length, prefix + length) additive mask: row i may see the prefix and tokens up to itself."""
    row = torch.arange(prefix, prefix + length, device=device)[:, None]
    column = torch.arange(prefix + length, device=device)[None, :]
    hidden = column > row
    if window is not None:
        hidden |= column <= row - window
    return torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, float("-inf"))


class _Block(NamedTuple):
    """Queries and keys that belong together, (rows, tokens, heads, width)."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor


def _layout(pack: Pack) -> Iterator[tuple[Group, int]]:
    """Groups and how many tokens of shared prefix each sees; the prefix comes first, as a group of its own."""
    if pack.prefix_group is not None:
        yield pack.prefix_group, 0
    for group in pack.groups:
        yield group, pack.prefix


def _block(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, group: Group, prefix: int) -> _Block:
    return _Block(_unpack(query, group, 0), _unpack(key, group, prefix), _unpack(value, group, prefix))


def _unpack(packed: torch.Tensor, group: Group, prefix: int) -> torch.Tensor:
    rows, longest = group.at.shape
    out = packed.new_empty(rows, prefix + longest, *packed.shape[1:])
    if prefix:
        out[:, :prefix] = packed[:prefix]
    out[:, prefix:] = packed.index_select(0, group.at.reshape(-1)).view(rows, longest, *packed.shape[1:])
    return out


def _repack(out: torch.Tensor, slots: torch.Tensor, group: Group, prefix: int) -> None:
    """Write a block's tokens to their places in the packed row; a key's shared prefix is summed over rows."""
    if prefix:
        out[:prefix] += slots[:, :prefix].sum(dim=0)
        slots = slots[:, prefix:]
    flat = slots.reshape(-1, *slots.shape[2:])
    out.index_copy_(0, group.tokens, flat.index_select(0, group.slots))


def _by_key_head(x: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """(rows, tokens, heads, width) to (rows · kv heads, heads per kv head · tokens, width)."""
    rows, tokens, heads, width = x.shape
    shape = (rows, tokens, kv_heads, heads // kv_heads, width)
    return x.view(shape).permute(0, 2, 3, 1, 4).reshape(rows * kv_heads, -1, width)


def _by_token(x: torch.Tensor, rows: int, tokens: int, kv_heads: int) -> torch.Tensor:
    """The inverse of `_by_key_head`."""
    width = x.shape[-1]
    out = x.view(rows, kv_heads, -1, tokens, width).permute(0, 3, 1, 2, 4)
    return out.reshape(rows, tokens, -1, width)


def _window_of(block: _Block, window: int | None) -> int | None:
    return None if window is None or window >= block.key.shape[1] else window


def _is_explicit(block: _Block) -> bool:
    rows, length, heads, _ = block.query.shape
    return rows * heads * length * block.key.shape[1] <= _EXPLICIT_SCORES


def _explicit(block: _Block, scale: float, window: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The block's result (rows, tokens, heads, width) and its probabilities."""
    rows, length, heads, _ = block.query.shape
    kv_heads = block.key.shape[2]
    mask = _mask(length, block.key.shape[1] - length, window, block.query.dtype, block.query.device)
    key = _by_key_head(block.key, kv_heads)
    scores = torch.baddbmm(
        mask.repeat(heads // kv_heads, 1),
        _by_key_head(block.query, kv_heads),
        key.transpose(1, 2),
        alpha=scale,
    )
    probabilities = torch.softmax(scores, dim=-1)
    out = torch.bmm(probabilities, _by_key_head(block.value, kv_heads))
    return _by_token(out, rows, length, kv_heads), probabilities


def _explicit_backward(
    block: _Block, probabilities: torch.Tensor, grad: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows, length, _, _ = block.query.shape
    keys, kv_heads = block.key.shape[1], block.key.shape[2]
    grad = _by_key_head(grad, kv_heads)
    d_value = torch.bmm(probabilities.transpose(1, 2), grad)
    d_probability = torch.bmm(grad, _by_key_head(block.value, kv_heads).transpose(1, 2))
    d_score = torch._softmax_backward_data(d_probability, probabilities, -1, probabilities.dtype)
    d_query = torch.bmm(d_score, _by_key_head(block.key, kv_heads)).mul_(scale)
    d_key = torch.bmm(d_score.transpose(1, 2), _by_key_head(block.query, kv_heads)).mul_(scale)
    return (
        _by_token(d_query, rows, length, kv_heads),
        _by_token(d_key, rows, keys, kv_heads),
        _by_token(d_value, rows, keys, kv_heads),
    )


def _kernel(block: _Block, scale: float, window: int | None) -> torch.Tensor:
    """PyTorch's attention; differentiable."""
    _, length, heads, _ = block.query.shape
    repeat = heads // block.key.shape[2]
    prefix = block.key.shape[1] - length
    plain = prefix == 0 and window is None
    out = functional.scaled_dot_product_attention(
        block.query.transpose(1, 2),
        block.key.repeat_interleave(repeat, dim=2).transpose(1, 2),
        block.value.repeat_interleave(repeat, dim=2).transpose(1, 2),
        attn_mask=None if plain else _mask(length, prefix, window, block.query.dtype, block.query.device),
        is_causal=plain,
        scale=scale,
    )
    return out.transpose(1, 2)


def forward(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    pack: Pack,
    scale: float,
    window: int | None,
    *,
    into: torch.Tensor,
) -> list[torch.Tensor]:
    """Attention of (tokens, heads, width), put into zeros `into`; returns what `backward` needs."""
    out = into
    kept: list[torch.Tensor] = []
    native = _native(query, key, value)
    for group, prefix in _layout(pack):
        if native is not None and _is_short(group, prefix, query.shape[1], window):
            kept.append(_native_forward(native, query, key, value, group, prefix, scale, out))
            continue
        block = _block(query, key, value, group, prefix)
        narrow = _window_of(block, window)
        if _is_explicit(block):
            part, probabilities = _explicit(block, scale, narrow)
            kept.append(probabilities)
        else:
            part = _kernel(block, scale, narrow)
        _repack(out, part, group, 0)
    return kept


def backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    kept: Sequence[torch.Tensor],
    pack: Pack,
    scale: float,
    window: int | None,
    *,
    into: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    """Gradients of query, key and value, put into zeros `into`.

    Autograd fixes its parameters: the gradient, the three inputs, what `forward` saved and what it was called with.
    """
    native = _native(query, key, value)
    left = iter(kept)
    for group, prefix in _layout(pack):
        if native is not None and _is_short(group, prefix, query.shape[1], window):
            _native_backward(native, grad, query, key, value, next(left), group, prefix, scale, into)
            continue
        block = _block(query, key, value, group, prefix)
        part = _without_padding(_unpack(grad, group, 0), group)
        if _is_explicit(block):
            parts = _explicit_backward(block, next(left), part, scale)
        else:
            leaves = _Block(*(x.detach().requires_grad_() for x in block))
            with torch.enable_grad():
                out = _kernel(leaves, scale, _window_of(block, window))
            d_q, d_k, d_v = torch.autograd.grad(out, leaves, part)
            parts = d_q, d_k, d_v
        _repack(into[0], parts[0], group, 0)
        _repack(into[1], parts[1], group, prefix)
        _repack(into[2], parts[2], group, prefix)


def _native(*tensors: torch.Tensor) -> kernels.NativeKernels | None:
    native = kernels.for_tensors(*tensors)
    apart = all(x.stride(2) == 1 and x.stride(1) == x.shape[2] for x in tensors)
    return native if apart and tensors[0].shape[2] <= kernels.WIDEST_HEAD else None


def _is_short(group: Group, prefix: int, heads: int, window: int | None) -> bool:
    rows, length = group.at.shape
    keys = prefix + length
    return (window is None or window >= keys) and rows * heads * length * keys <= _EXPLICIT_SCORES


def _gather(
    native: kernels.NativeKernels,
    x: torch.Tensor,
    group: Group,
    prefix: int,
    kv_heads: int,
    *,
    real: bool = False,
) -> torch.Tensor:
    """(rows · kv heads, heads per kv head · (prefix + length), width); with `real`, filled slots are zero."""
    rows, length = group.at.shape
    _, heads, width = x.shape
    out = x.new_empty(rows * kv_heads, heads // kv_heads * (prefix + length), width)
    sizes = group.sizes if real else None
    native.call("gather", x, group.at, sizes, out, x.stride(0), prefix, rows, length, heads, width)
    return out


def _scatter(
    native: kernels.NativeKernels, blocks: torch.Tensor, group: Group, prefix: int, into: torch.Tensor
) -> None:
    rows, length = group.at.shape
    _, heads, width = into.shape
    stride = into.stride(0)
    native.call(
        "scatter", blocks, group.at, group.sizes, into, stride, prefix, rows, length, heads, width
    )  # fmt: skip


def _native_forward(
    native: kernels.NativeKernels,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    group: Group,
    prefix: int,
    scale: float,
    out: torch.Tensor,
) -> torch.Tensor:
    kv, length = key.shape[1], group.at.shape[1]
    scores = torch.bmm(
        _gather(native, query, group, 0, kv), _gather(native, key, group, prefix, kv).transpose(1, 2)
    )
    repeat = query.shape[1] // kv
    native.call("causal_softmax", scores, scores.shape[0], repeat, length, prefix, float(scale))
    _scatter(native, torch.bmm(scores, _gather(native, value, group, prefix, kv)), group, 0, out)
    return scores


def _native_backward(
    native: kernels.NativeKernels,
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    probabilities: torch.Tensor,
    group: Group,
    prefix: int,
    scale: float,
    into: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    """`backward` of one group by freehold's own loops. Autograd fixes its parameters, as those of `backward`."""
    kv, length = key.shape[1], group.at.shape[1]
    part = _gather(native, grad, group, 0, kv, real=True)
    _scatter(native, torch.bmm(probabilities.transpose(1, 2), part), group, prefix, into[2])
    slope = torch.bmm(part, _gather(native, value, group, prefix, kv).transpose(1, 2))
    repeat = query.shape[1] // kv
    native.call(
        "causal_softmax_backward", slope, probabilities, slope.shape[0], repeat, length, prefix, float(scale)
    )  # fmt: skip
    _scatter(native, torch.bmm(slope, _gather(native, key, group, prefix, kv)), group, 0, into[0])
    d_key = torch.bmm(slope.transpose(1, 2), _gather(native, query, group, 0, kv))
    _scatter(native, d_key, group, prefix, into[1])


class _PackedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        pack: Pack,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        out = torch.zeros_like(query, memory_format=torch.contiguous_format)
        kept = forward(query, key, value, pack, scale, window, into=out)
        ctx.pack, ctx.scale, ctx.window = pack, scale, window
        ctx.save_for_backward(query, key, value, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        d_query, d_key, d_value = (
            torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (query, key, value)
        )
        backward(
            grads[0].contiguous(),
            query,
            key,
            value,
            kept,
            ctx.pack,
            ctx.scale,
            ctx.window,
            into=(d_query, d_key, d_value),
        )
        return d_query, d_key, d_value, None, None, None


def _without_padding(grad: torch.Tensor, group: Group) -> torch.Tensor:
    """Filled slots repeat a real token; their gradient must not count twice."""
    if group.slots.shape[0] == group.at.numel():
        return grad
    flat = grad.reshape(-1, *grad.shape[2:])
    flat.index_fill_(0, group.filling, 0)
    return flat.view_as(grad)


def packed_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    pack: Pack,
    *,
    scale: float,
    window: int | None = None,
) -> torch.Tensor:
    """Attention of packed tokens: (tokens, heads, width) each, and the same for the result."""
    return differentiable(_PackedAttention, query, key, value, pack, scale, window)


def _interface(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    pack: Pack | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """`packed_attention` as transformers calls it: (1, heads, tokens, width) in, (1, tokens, heads, width) out."""
    assert pack is not None, "the packed attention needs the pack among the model's arguments"
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows = [x[0].transpose(0, 1) for x in (query, key, value)]
    device = query.device.type
    # Under autocast the rotation leaves query and key in float32 and the value in bf16: as for PyTorch's own
    # attention all are cast, here, because autocast does not reach into a function with a backward pass of its own.
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        rows = [x.to(kind) for x in rows]
    with torch.autocast(device, enabled=False):
        out = packed_attention(rows[0], rows[1], rows[2], pack, scale=scale, window=sliding_window)
    return out[None], None


def register() -> str:
    """Make `NAME` known to transformers; returns the name for ``attn_implementation``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _interface)
    return NAME
