"""Attention over a `Pack`: each sample sees itself and the shared prefix, and no other sample.

`register` makes it known to transformers as `NAME`: every architecture that goes through its attention
interface can be trained packed.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.nn import functional

from freehold.training.packing import Group, Pack

NAME = "freehold_packed"


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


def _unpack(packed: torch.Tensor, group: Group, prefix: int) -> torch.Tensor:
    """The group's samples, (rows, heads, prefix + length, width)."""
    rows, longest = group.at.shape
    own = packed.index_select(0, group.at.reshape(-1)).view(rows, longest, *packed.shape[1:])
    if prefix:
        own = torch.cat([packed[:prefix].expand(rows, *packed[:prefix].shape), own], dim=1)
    return own.transpose(1, 2)


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
    out = torch.zeros_like(query, memory_format=torch.contiguous_format)
    for group, prefix in pack.layout():
        length = group.at.shape[1]
        narrow = None if window is None or window >= prefix + length else window
        plain = prefix == 0 and narrow is None
        attended = functional.scaled_dot_product_attention(
            _unpack(query, group, 0),
            _unpack(key, group, prefix),
            _unpack(value, group, prefix),
            attn_mask=None if plain else _mask(length, prefix, narrow, query.dtype, query.device),
            is_causal=plain,
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        tokens = attended.transpose(1, 2).reshape(-1, *query.shape[1:])
        out = out.index_copy(0, group.tokens, tokens.index_select(0, group.slots))
    return out


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
    return packed_attention(rows[0], rows[1], rows[2], pack, scale=scale, window=sliding_window)[None], None


def register() -> str:
    """Make `NAME` known to transformers; returns the name for ``attn_implementation``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _interface)
    return NAME
