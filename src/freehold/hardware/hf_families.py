"""What a `config.json` of transformers does not say about its family: the code of `transformers.models` does."""

from __future__ import annotations

from typing import Any, NamedTuple

from freehold.errors import InputError
from freehold.types.model import AttentionKind, RecurrentShape


class Family(NamedTuple):
    """How a `model_type` is built where its config does not say."""

    architecture: str
    flags: dict[str, Any]
    full_every: int = 0
    """Where windows alternate and the config has no `layer_types`: every how many layers one is full."""


FAMILIES: dict[str, Family] = {
    "llama": Family("llama", {}),
    "mistral": Family("llama", {}),
    "ministral3": Family("mistral3", {}),
    "mistral4": Family("mistral4", {}),
    "mixtral": Family("llama", {}),
    "qwen2": Family("qwen2", {"qkv_bias": True}),
    "qwen3": Family("qwen3", {"qk_norm": "head"}),
    "qwen3_moe": Family("qwen3moe", {"qk_norm": "head"}),
    "qwen3_vl_text": Family("qwen3vl", {"qk_norm": "head"}),
    "qwen3_vl_moe_text": Family("qwen3vlmoe", {"qk_norm": "head"}),
    "gemma2": Family("gemma2", {"norms_per_layer": 4}, 2),
    "gemma3": Family("gemma3", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "gemma3_text": Family("gemma3", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "gemma4": Family("gemma4", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "gemma4_text": Family("gemma4", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "phi3": Family("phi3", {"fused_qkv": True}),
    "olmo2": Family("olmo2", {"qk_norm": "full"}),
    "olmo3": Family("olmo2", {"qk_norm": "full"}, 4),
    "cohere": Family("command-r", {"norms_per_layer": 1}),
    "cohere2": Family("cohere2", {"norms_per_layer": 1}, 4),
    "deepseek_v2": Family("deepseek2", {}),
    "deepseek_v3": Family("deepseek2", {}),
    "kimi_k2": Family("deepseek2", {}),
    "kimi_linear": Family("kimi-linear", {}),
    "gpt_oss": Family("gpt-oss", {"qkv_bias": True, "output_bias": True, "attention_sinks": True}, 2),
    "granite": Family("granite", {}),
    "granitemoehybrid": Family("granitehybrid", {}),
    "ernie4_5": Family("ernie4_5", {}),
    "ernie4_5_moe": Family("ernie4_5-moe", {}),
    "exaone4": Family("exaone4", {"qk_norm": "head"}, 4),
    "exaone_moe": Family("exaone-moe", {"qk_norm": "head"}, 4),
    "jamba": Family("jamba", {}),
    "lfm2": Family("lfm2", {"qk_norm": "head"}),
    "lfm2_moe": Family("lfm2moe", {"qk_norm": "head"}),
    "nemotron_h": Family("nemotron_h_moe", {"norms_per_layer": 1, "gated_ffn": False, "ffn_apart": True}),
    "qwen3_5_text": Family("qwen35", {"qk_norm": "head", "attention_gate": True}, 4),
    "qwen3_5_moe_text": Family("qwen35moe", {"qk_norm": "head", "attention_gate": True}, 4),
    "qwen3_next": Family("qwen3next", {"qk_norm": "head", "attention_gate": True}, 4),
    "deepseek_v32": Family("deepseek2", {}),
    "glm_moe_dsa": Family("glm-dsa", {}),
    "deepseek_v4": Family("deepseek4", {}),
    "minimax_m3": Family("minimax-m3", {"qk_norm": "head"}),
    "muse_glimmer_text": Family("muse-glimmer", {"norms_per_layer": 4, "attention_gate": True}, 4),
    "gemma4_unified_text": Family("gemma4", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "glm4_moe": Family("glm4moe", {}),
    "glm4_moe_lite": Family("deepseek2", {}),
    "minimax_m2": Family("minimax-m2", {"qk_norm": "full"}),
    "mimo_v2_flash": Family("mimo2", {}),
    "seed_oss": Family("seed_oss", {}),
    "smollm3": Family("smollm3", {}),
    "apertus": Family("apertus", {"qk_norm": "head", "gated_ffn": False}),
}

SPARSE = frozenset({"deepseek_v32", "glm_moe_dsa", "minimax_m3"})
"""Their attention picks tokens with an indexer, which is not counted."""
DELTA = frozenset({"qwen3_5_text", "qwen3_5_moe_text", "qwen3_next"})
"""Gated delta nets between layers of full attention."""
CONV = frozenset({"lfm2", "lfm2_moe"})
"""Short convolutions between layers of full attention."""
HYBRID = DELTA | CONV | frozenset({"jamba", "nemotron_h", "granitemoehybrid", "kimi_linear"})
"""Layers with a state of fixed size between layers of attention."""

TIED_BY_DEFAULT = frozenset(
    {"gemma2", "gemma3", "gemma3_text", "gemma4", "gemma4_text", "gemma4_unified_text", "cohere", "cohere2", "smollm3"}
) | CONV  # fmt: skip
SCORE_BIAS = frozenset(
    {
        "deepseek_v3", "kimi_k2", "kimi_linear", "glm4_moe", "glm4_moe_lite", "minimax_m2", "mimo_v2_flash",
        "deepseek_v4", "nemotron_h", "exaone_moe", "lfm2_moe",
    }
) | SPARSE  # fmt: skip
"""Their router adds a bias for each expert to its scores."""
MIXTURES = frozenset(
    {
        "mixtral", "mistral4", "qwen3_moe", "qwen3_vl_moe_text", "qwen3_5_moe_text", "qwen3_next", "deepseek_v2",
        "gpt_oss", "ernie4_5_moe",
    }
) | (SCORE_BIAS - {"nemotron_h"})  # fmt: skip
"""Mixtures of experts: their config must say how many there are."""
WINDOW_IGNORED = frozenset(
    {
        "mistral", "ministral3", "phi3", "qwen2", "qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text",
        "minimax_m2", "smollm3",
    }
)  # fmt: skip
"""Their configs name a window that llama.cpp does not use or that is switched off."""


class ConfigKeys:
    """One config and where it was read."""

    def __init__(self, raw: dict[str, Any], path: str) -> None:
        self.raw = raw
        self.path = path

    def optional(self, *keys: str) -> int | None:
        """The first of some keys that holds a whole number; None where none does. Raises `InputError` for one that
        cannot be."""
        for key in keys:
            value = self.raw.get(key)
            if value is None or isinstance(value, bool) or not isinstance(value, int):
                continue
            if not 0 <= value < 1 << 40:
                raise InputError(f"{key} is {value}", path=self.path)
            return value
        return None

    def whole(self, key: str, most: int = 1 << 40) -> int:
        """A whole number above zero. Raises `InputError` that says whether it is missing or what it is instead."""
        value = self.optional(key)
        if not value or value > most:
            if key not in self.raw:
                raise InputError(f"{key} is missing; the sizes need it", path=self.path)
            raise InputError(
                f"{key} is {self.raw[key]!r}, expected a whole number from 1 to {most:,}", path=self.path
            )
        return value

    def words(self, key: str) -> list[str] | None:
        """A list of words, None where it is none."""
        value = self.raw.get(key)
        return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None


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
