"""The weight tensors a shape implies: names, sizes and roles as llama.cpp's converters write them.

Everything that depends on weights is summed over this list: parameter counts, bytes by quantization,
arithmetic per token. Dimensions are in GGUF order (the contiguous one first).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

from freehold.types.model import RecurrentShape, Shape


class Tensor(NamedTuple):
    """One tensor. `layer` is None outside the blocks; `active` is the share of it one token touches."""

    name: str
    dims: tuple[int, ...]
    layer: int | None = None
    active: float = 1.0

    @property
    def values(self) -> int:
        """Number of weights."""
        return math.prod(self.dims)


@functools.lru_cache(maxsize=256)
def tensors(shape: Shape) -> tuple[Tensor, ...]:
    """All tensors of a model of this shape, in block order.

    Not covered: vision and audio towers, multi-token-prediction heads, which converters keep in files of
    their own or leave out.
    """
    found = [Tensor("token_embd.weight", (shape.hidden, shape.vocabulary))]
    if shape.layer_embedding:
        wide = shape.layers * shape.layer_embedding
        found.append(
            Tensor("per_layer_token_embd.weight", (wide, shape.vocabulary), None, 1 / shape.vocabulary)
        )
        found.append(Tensor("per_layer_model_proj.weight", (shape.hidden, wide)))
        found.append(Tensor("per_layer_proj_norm.weight", (shape.layer_embedding,)))
    for layer in range(shape.layers):
        found.extend(_block(shape, layer))
    if shape.hyper_connections:
        streams = shape.hyper_connections
        found.append(Tensor("output_hc.weight", (streams * shape.hidden, streams)))
        found.append(Tensor("output_hc.bias", (streams + 1,)))
    found.append(Tensor("output_norm.weight", (shape.hidden,)))
    if shape.norm_bias:
        found.append(Tensor("output_norm.bias", (shape.hidden,)))
    if not shape.tied_embeddings:
        found.append(Tensor("output.weight", (shape.hidden, shape.vocabulary)))
    return tuple(found)


@functools.lru_cache(maxsize=256)
def parameter_count(shape: Shape) -> int:
    """Number of weights, tied embeddings counted once."""
    return sum(tensor.values for tensor in tensors(shape))


@functools.lru_cache(maxsize=256)
def active_parameter_count(shape: Shape) -> int:
    """Weights one token passes through, embeddings included."""
    return round(sum(tensor.values * tensor.active for tensor in tensors(shape)))


def _block(shape: Shape, layer: int) -> Iterator[Tensor]:
    kind = shape.attention[layer]
    for name, dims, active in (*_norms(shape), *_mixer(shape, layer, kind), *_ffn(shape, layer)):
        yield Tensor(f"blk.{layer}.{name}", dims, layer, active)


_Part = tuple[str, tuple[int, ...], float]


def _norms(shape: Shape) -> Iterator[_Part]:
    names = {
        0: (),
        1: ("attn_norm",),
        2: ("attn_norm", "ffn_norm"),
        4: ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
    }[shape.norms_per_layer]
    for name in names:
        yield f"{name}.weight", (shape.hidden,), 1.0
        if shape.norm_bias:
            yield f"{name}.bias", (shape.hidden,), 1.0
    if shape.layer_embedding:
        yield "inp_gate.weight", (shape.hidden, shape.layer_embedding), 1.0
        yield "proj.weight", (shape.layer_embedding, shape.hidden), 1.0
        yield "post_norm.weight", (shape.hidden,), 1.0
    if shape.hyper_connections:
        streams = shape.hyper_connections
        mixes = streams * streams + 2 * streams
        for name in ("attn_hc", "ffn_hc"):
            yield f"{name}.weight", (streams * shape.hidden, mixes), 1.0
            yield f"{name}.bias", (mixes + 3,), 1.0


def _mixer(shape: Shape, layer: int, kind: str) -> Iterator[_Part]:
    if kind == "none":
        return
    if kind == "recurrent":
        assert shape.recurrent is not None
        yield from _recurrent(shape, shape.recurrent)
    elif kind == "latent":
        yield from _latent(shape)
    elif kind == "compressed":
        yield from _compressed(shape, layer)
    else:
        yield from _attention(shape, layer)


def _attention(shape: Shape, layer: int) -> Iterator[_Part]:
    kv_heads, width, value = shape.kv_heads_at(layer), shape.head_dim_at(layer), shape.value_dim_at(layer)
    q, k, v = shape.heads * width, kv_heads * width, kv_heads * value
    if shape.fused_qkv:
        projections = [("attn_qkv", q + k + v)]
    else:
        gated = 2 * q if shape.attention_gate else q
        projections = [("attn_q", gated), ("attn_k", k), ("attn_v", v)]
    if not kv_heads:  # an earlier layer's keys and values are read
        projections = projections[:1]
    if shape.value_is_key and shape.attention[layer] == "full":
        projections = [one for one in projections if one[0] != "attn_v"]
    for name, size in projections:
        yield f"{name}.weight", (shape.hidden, size), 1.0
        if shape.qkv_bias:
            yield f"{name}.bias", (size,), 1.0
    yield "attn_output.weight", (shape.heads * value, shape.hidden), 1.0
    if shape.output_bias:
        yield "attn_output.bias", (shape.hidden,), 1.0
    if shape.qk_norm == "head":
        yield "attn_q_norm.weight", (width,), 1.0
        if kv_heads:
            yield "attn_k_norm.weight", (width,), 1.0
    elif shape.qk_norm == "full":
        yield "attn_q_norm.weight", (q,), 1.0
        yield "attn_k_norm.weight", (k,), 1.0
    if shape.attention_sinks:
        yield "attn_sinks.weight", (shape.heads,), 1.0


def _latent(shape: Shape) -> Iterator[_Part]:
    latent = shape.latent
    assert latent is not None
    q_width = shape.heads * (latent.nope_dim + latent.rope_dim)
    if latent.q_rank is None:
        yield "attn_q.weight", (shape.hidden, q_width), 1.0
    else:
        yield "attn_q_a.weight", (shape.hidden, latent.q_rank), 1.0
        yield "attn_q_a_norm.weight", (latent.q_rank,), 1.0
        yield "attn_q_b.weight", (latent.q_rank, q_width), 1.0
    yield "attn_kv_a_mqa.weight", (shape.hidden, latent.kv_rank + latent.rope_dim), 1.0
    yield "attn_kv_a_norm.weight", (latent.kv_rank,), 1.0
    yield "attn_k_b.weight", (latent.nope_dim, latent.kv_rank, shape.heads), 1.0
    yield "attn_v_b.weight", (latent.kv_rank, latent.value_dim, shape.heads), 1.0
    yield "attn_output.weight", (shape.heads * latent.value_dim, shape.hidden), 1.0


def _compressed(shape: Shape, layer: int) -> Iterator[_Part]:
    """As transformers' `deepseek_v4` builds it; its tables of hashed experts hold no weights."""
    parts = shape.compressed
    assert parts is not None
    width, heads = shape.head_dim, shape.heads * shape.head_dim
    yield "attn_q_a.weight", (shape.hidden, parts.q_rank), 1.0
    yield "attn_q_a_norm.weight", (parts.q_rank,), 1.0
    yield "attn_q_b.weight", (parts.q_rank, heads), 1.0
    yield "attn_kv.weight", (shape.hidden, width), 1.0
    yield "attn_kv_norm.weight", (width,), 1.0
    yield "attn_output_a.weight", (heads, parts.output_rank), 1.0
    yield "attn_output_b.weight", (parts.output_rank * parts.output_groups, shape.hidden), 1.0
    yield "attn_sinks.weight", (shape.heads,), 1.0
    ratio = parts.every[layer]
    if not ratio:
        return
    twice = 2 if ratio == parts.indexed else 1  # pooled windows overlap there
    for name, dim in (("compressor", width), ("indexer", parts.index_dim)):
        if name == "indexer" and ratio != parts.indexed:
            continue
        yield f"{name}_kv.weight", (shape.hidden, twice * dim), 1.0
        yield f"{name}_gate.weight", (shape.hidden, twice * dim), 1.0
        yield f"{name}_position.bias", (ratio * twice * dim,), 1.0
        yield f"{name}_norm.weight", (dim,), 1.0
    if ratio == parts.indexed:
        yield "indexer_q_b.weight", (parts.q_rank, parts.index_heads * parts.index_dim), 1.0
        yield "indexer_weights.weight", (shape.hidden, parts.index_heads), 1.0


def _recurrent(shape: Shape, state: RecurrentShape) -> Iterator[_Part]:
    if state.kind == "conv":  # LFM2's gated short convolution
        yield "shortconv.in_proj.weight", (shape.hidden, 3 * shape.hidden), 1.0
        yield "shortconv.conv.weight", (state.conv_kernel, shape.hidden), 1.0
        yield "shortconv.out_proj.weight", (shape.hidden, shape.hidden), 1.0
        return
    if state.kind == "mamba1":
        yield "ssm_in.weight", (shape.hidden, 2 * state.inner), 1.0
        yield "ssm_conv1d.weight", (state.conv_kernel, state.inner), 1.0
        yield "ssm_conv1d.bias", (state.inner,), 1.0
        yield "ssm_x.weight", (state.inner, state.dt_rank + 2 * state.state), 1.0
        if state.inner_norms:
            yield "ssm_dt_norm.weight", (state.dt_rank,), 1.0
            yield "ssm_b_norm.weight", (state.state,), 1.0
            yield "ssm_c_norm.weight", (state.state,), 1.0
        yield "ssm_dt.weight", (state.dt_rank, state.inner), 1.0
        yield "ssm_dt.bias", (state.inner,), 1.0
        yield "ssm_a", (state.state, state.inner), 1.0
        yield "ssm_d", (state.inner,), 1.0
    elif state.kind == "mamba2":
        mixed = state.inner + 2 * state.groups * state.state
        yield "ssm_in.weight", (shape.hidden, state.inner + mixed + state.heads), 1.0
        yield "ssm_conv1d.weight", (state.conv_kernel, mixed), 1.0
        yield "ssm_conv1d.bias", (mixed,), 1.0
        yield "ssm_dt.bias", (state.heads,), 1.0
        yield "ssm_a", (1, state.heads), 1.0
        yield "ssm_d", (1, state.heads), 1.0
        yield "ssm_norm.weight", (state.inner,), 1.0
    elif state.kind == "kda":  # Kimi's delta attention, as transformers' `kimi_linear` builds it
        dim = state.state
        yield "attn_qkv.weight", (shape.hidden, 3 * state.inner), 1.0
        yield "ssm_conv1d.weight", (state.conv_kernel, 3 * state.inner), 1.0
        narrow = ("ssm_f",) if state.full_gate else ("ssm_f", "ssm_g")
        for name in narrow:
            yield f"{name}_a.weight", (shape.hidden, dim), 1.0
            yield f"{name}_b.weight", (dim, state.inner), 1.0
        if state.full_gate:
            yield "ssm_g.weight", (shape.hidden, state.inner), 1.0
        yield "ssm_beta.weight", (shape.hidden, state.heads), 1.0
        yield "ssm_dt.bias", (state.inner,), 1.0
        yield "ssm_a", (state.heads,), 1.0
        yield "ssm_norm.weight", (dim,), 1.0
    else:  # gated delta net (Qwen3-Next): q and k of `groups` heads, v, gate of `heads` heads
        keys = state.groups * state.state
        yield "attn_qkv.weight", (shape.hidden, 2 * keys + state.inner), 1.0
        yield "attn_gate.weight", (shape.hidden, state.inner), 1.0
        yield "ssm_ba.weight", (shape.hidden, 2 * state.heads), 1.0
        yield "ssm_conv1d.weight", (state.conv_kernel, 2 * keys + state.inner), 1.0
        yield "ssm_dt.bias", (state.heads,), 1.0
        yield "ssm_a", (state.heads,), 1.0
        yield "ssm_norm.weight", (state.inner // max(1, state.heads),), 1.0
    yield "ssm_out.weight", (state.inner, shape.hidden), 1.0


def _ffn(shape: Shape, layer: int) -> Iterator[_Part]:
    experts = shape.experts
    if shape.ffn_apart and shape.attention[layer] != "none":
        return
    if experts is not None and experts.at(layer):
        share = experts.per_token / experts.count
        width = experts.hidden or shape.hidden
        if experts.hidden:
            yield "ffn_latent_down.weight", (shape.hidden, experts.hidden), 1.0
            yield "ffn_latent_up.weight", (experts.hidden, shape.hidden), 1.0
        yield "ffn_gate_inp.weight", (shape.hidden, experts.count), 1.0
        if experts.router_bias:
            yield "ffn_gate_inp.bias", (experts.count,), 1.0
        if experts.score_bias:
            yield "exp_probs_b.bias", (experts.count,), 1.0
        for name, dims in _widths(width, experts.ffn, shape.gated_ffn):
            yield f"{name}_exps.weight", (*dims, experts.count), share
            if experts.expert_bias:
                yield f"{name}_exps.bias", (dims[1], experts.count), share
        shared = experts.shared * experts.ffn if experts.shared_ffn is None else experts.shared_ffn
        if shared:
            for name, dims in _widths(shape.hidden, shared, shape.gated_ffn):
                yield f"{name}_shexp.weight", dims, 1.0
        return
    ffn = shape.borrowed_ffn if shape.borrowed_ffn and shape.borrows_cache(layer) else shape.ffn
    if ffn:
        widths = _widths(shape.hidden, ffn, shape.gated_ffn)
        if shape.fused_qkv:  # such files fuse gate and up as well
            widths = [("ffn_up", (shape.hidden, 2 * shape.ffn)), widths[-1]]
        for name, dims in widths:
            yield f"{name}.weight", dims, 1.0
            if shape.ffn_bias:
                yield f"{name}.bias", (dims[1],), 1.0


def _widths(hidden: int, ffn: int, gated: bool) -> list[tuple[str, tuple[int, int]]]:
    gate = [("ffn_gate", (hidden, ffn))] if gated else []
    return [*gate, ("ffn_up", (hidden, ffn)), ("ffn_down", (ffn, hidden))]
