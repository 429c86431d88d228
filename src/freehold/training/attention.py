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
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from freehold.training.packing import Group, Pack
from freehold.training.parameters import differentiable

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
    """Queries and keys that belong together, (rows, tokens, heads, width); `group` None is the prefix."""

    group: Group | None
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor


def _blocks(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, pack: Pack) -> Iterator[_Block]:
    prefix = pack.prefix
    if prefix:
        yield _Block(None, query[None, :prefix], key[None, :prefix], value[None, :prefix])
    for group in pack.groups:
        yield _Block(
            group, _unpack(query, group, 0), _unpack(key, group, prefix), _unpack(value, group, prefix)
        )


def _unpack(packed: torch.Tensor, group: Group, prefix: int) -> torch.Tensor:
    rows, longest = group.at.shape
    out = packed.new_empty(rows, prefix + longest, *packed.shape[1:])
    if prefix:
        out[:, :prefix] = packed[:prefix]
    out[:, prefix:] = packed.index_select(0, group.at.reshape(-1)).view(rows, longest, *packed.shape[1:])
    return out


def _repack(out: torch.Tensor, slots: torch.Tensor, group: Group | None, prefix: int) -> None:
    """Put a block's tokens where they belong in the packed row; a key's shared prefix is summed over rows."""
    if group is None:
        out[: slots.shape[1]] += slots[0]
        return
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
    """The way back."""
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
        kept: list[torch.Tensor] = []
        for block in _blocks(query, key, value, pack):
            narrow = _window_of(block, window)
            if _is_explicit(block):
                part, probabilities = _explicit(block, scale, narrow)
                kept.append(probabilities)
            else:
                part = _kernel(block, scale, narrow)
            _repack(out, part, block.group, 0)
        ctx.pack, ctx.scale, ctx.window = pack, scale, window
        ctx.save_for_backward(query, key, value, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        pack: Pack = ctx.pack
        outs = [torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (query, key, value)]
        d_query, d_key, d_value = outs
        at = 0
        for block in _blocks(query, key, value, pack):
            group = block.group
            grad = grads[0][None, : pack.prefix] if group is None else _unpack(grads[0], group, 0)
            if group is not None:
                grad = _only_real(grad, group)
            if _is_explicit(block):
                parts = _explicit_backward(block, kept[at], grad, ctx.scale)
                at += 1
            else:
                leaves = _Block(group, *(x.detach().requires_grad_() for x in block[1:]))
                with torch.enable_grad():
                    out = _kernel(leaves, ctx.scale, _window_of(block, ctx.window))
                d_q, d_k, d_v = torch.autograd.grad(out, leaves[1:], grad)
                parts = d_q, d_k, d_v
            _repack(d_query, parts[0], group, 0)
            prefix = 0 if group is None else pack.prefix
            _repack(d_key, parts[1], group, prefix)
            _repack(d_value, parts[2], group, prefix)
        return d_query, d_key, d_value, None, None, None


def _only_real(grad: torch.Tensor, group: Group) -> torch.Tensor:
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
    out = packed_attention(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        pack,
        scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
        window=sliding_window,
    )
    return out[None], None


def register() -> str:
    """Make `NAME` known to transformers; returns the name for ``attn_implementation``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _interface)
    return NAME
