"""Hybrids in a `config.json`: which layers keep a state of fixed size, and how large it is.

Covered: Jamba, gated delta nets (Qwen3-Next, Qwen3.5), Kimi's delta attention, Nemotron-H, Granite 4, LFM2.
"""

from __future__ import annotations

from freehold.errors import InputError
from freehold.hardware.hf_families import CONV, DELTA, ConfigKeys
from freehold.types.model import AttentionKind, RecurrentShape

LETTERS: dict[str, AttentionKind] = {"M": "recurrent", "*": "full", "E": "none", "-": "none"}
"""Nemotron-H's ``hybrid_override_pattern``: Mamba, attention, experts, a plain feed-forward layer."""
BLOCKS: dict[str, AttentionKind] = {
    "mamba": "recurrent", "linear_attention": "recurrent", "conv": "recurrent", "attention": "full",
    "full_attention": "full", "moe": "none", "mlp": "none",
}  # fmt: skip


def layer_kinds(read: ConfigKeys, kind: str, layers: int, full_every: int) -> tuple[AttentionKind, ...]:
    """What each layer of a hybrid remembers. Raises `InputError` where the config does not say."""
    if kind == "jamba":
        period, offset = read.raw.get("attn_layer_period", 8), read.raw.get("attn_layer_offset", 4)
        if not isinstance(period, int) or not isinstance(offset, int) or period < 1:
            raise InputError(f"attn_layer_period is {period!r}, attn_layer_offset {offset!r}")
        return tuple(_either(layer % period == offset) for layer in range(layers))
    if kind == "kimi_linear":
        full = (read.raw.get("linear_attn_config") or {}).get("full_attn_layers")
        if not isinstance(full, list):
            raise InputError("linear_attn_config.full_attn_layers is missing", path=read.path)
        # Layers are counted from one there.
        return tuple("latent" if layer + 1 in full else "recurrent" for layer in range(layers))
    pattern = read.raw.get("hybrid_override_pattern")
    if kind == "nemotron_h" and isinstance(pattern, str) and len(pattern) == layers:
        return tuple(_named(LETTERS, letter, "hybrid_override_pattern", read.path) for letter in pattern)
    named = read.words("layers_block_type") or read.words("layer_types")
    if named is not None and len(named) >= layers:
        return tuple(_named(BLOCKS, word, "layer_types", read.path) for word in named[:layers])
    if kind in CONV and isinstance(read.raw.get("full_attn_idxs"), list):
        return tuple(_either(layer in read.raw["full_attn_idxs"]) for layer in range(layers))
    every = read.raw.get("full_attention_interval", full_every)
    if kind in DELTA and isinstance(every, int) and every > 0:
        return tuple(_either((layer + 1) % every == 0) for layer in range(layers))
    missing = (
        f"full_attention_interval is {every!r}" if kind in DELTA else "which layers have attention is missing"
    )
    raise InputError(missing, path=read.path)


def layer_count(read: ConfigKeys, kind: str, most: int) -> int:
    """Number of layers; Nemotron-H may say it by its pattern alone."""
    if kind == "nemotron_h" and read.optional("num_hidden_layers") is None:
        listed = read.words("layers_block_type") or read.raw.get("hybrid_override_pattern")
        if isinstance(listed, (list, str)) and 0 < len(listed) <= most:
            return len(listed)
    return read.whole("num_hidden_layers", most)


def recurrent_shape(read: ConfigKeys, kind: str, hidden: int) -> RecurrentShape | None:
    """The state of a hybrid's recurrent layers; None for a model without any."""
    if kind == "jamba":
        return _mamba1(read, hidden)
    if kind in DELTA:
        return _delta(read)
    if kind == "kimi_linear":
        return _kimi(read)
    if kind in CONV:
        kernel = read.optional("conv_L_cache") or 3
        return RecurrentShape(kind="conv", conv_kernel=kernel, conv_channels=hidden, state_values=0)
    if kind == "nemotron_h":
        heads, dim = read.whole("mamba_num_heads"), read.whole("mamba_head_dim")
        state = read.optional("mamba_state_dim") or read.whole("ssm_state_size")
        groups, kernel = read.optional("n_groups", "mamba_num_groups") or 8, read.optional("conv_kernel") or 4
        return _mamba2(heads, dim, state, groups, kernel)
    if kind == "granitemoehybrid" and "recurrent" in layer_kinds(
        read, kind, read.whole("num_hidden_layers"), 0
    ):
        heads = read.whole("mamba_n_heads")
        dim = read.optional("mamba_d_head") or hidden * (read.optional("mamba_expand") or 2) // heads
        groups, kernel = read.optional("mamba_n_groups") or 1, read.optional("mamba_d_conv") or 4
        return _mamba2(heads, dim, read.whole("mamba_d_state"), groups, kernel)
    return None


def _either(full: bool) -> AttentionKind:
    return "full" if full else "recurrent"


def _named(names: dict[str, AttentionKind], word: str, key: str, path: str) -> AttentionKind:
    if word not in names:
        raise InputError(f"{key} has a layer {word!r}", path=path, hint=f"known: {', '.join(names)}")
    return names[word]


def _mamba1(read: ConfigKeys, hidden: int) -> RecurrentShape:
    inner = hidden * (read.optional("mamba_expand") or 2)
    state = read.optional("mamba_d_state") or 16
    return RecurrentShape(
        kind="mamba1",
        conv_kernel=read.optional("mamba_d_conv") or 4,
        conv_channels=inner,
        state_values=state * inner,
        inner=inner,
        state=state,
        dt_rank=read.optional("mamba_dt_rank") or -(-hidden // 16),
        inner_norms=True,
    )


def _mamba2(heads: int, dim: int, state: int, groups: int, kernel: int) -> RecurrentShape:
    inner = heads * dim
    return RecurrentShape(
        kind="mamba2",
        conv_kernel=kernel,
        conv_channels=inner + 2 * groups * state,
        state_values=inner * state,
        inner=inner,
        state=state,
        heads=heads,
        groups=groups,
    )


def _delta(read: ConfigKeys) -> RecurrentShape:
    """Gated delta nets (Qwen3.5): a state of key by value for each value head, and a short convolution."""
    keys, values = read.whole("linear_num_key_heads"), read.whole("linear_num_value_heads")
    key_dim, value_dim = read.whole("linear_key_head_dim"), read.whole("linear_value_head_dim")
    inner = values * value_dim
    return RecurrentShape(
        kind="delta",
        conv_kernel=read.whole("linear_conv_kernel_dim"),
        conv_channels=2 * keys * key_dim + inner,
        state_values=values * key_dim * value_dim,
        inner=inner,
        state=key_dim,
        heads=values,
        groups=keys,
    )


def _kimi(read: ConfigKeys) -> RecurrentShape:
    """Kimi's delta attention: as gated delta nets with as many heads for keys as for values, decaying by channel."""
    linear = ConfigKeys(read.raw.get("linear_attn_config") or {}, read.path)
    heads, dim = linear.whole("num_heads"), linear.whole("head_dim")
    return RecurrentShape(
        kind="kda",
        conv_kernel=linear.whole("short_conv_kernel_size"),
        conv_channels=3 * heads * dim,
        state_values=heads * dim * dim,
        inner=heads * dim,
        state=dim,
        heads=heads,
        groups=heads,
        full_gate=linear.raw.get("use_full_rank_gate") is True,
    )
