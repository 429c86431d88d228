"""Shapes from a `config.json` as transformers writes it.

Covered: the families in `FAMILIES`; a text model inside a multimodal config (`text_config`). An architecture
that is not in the table gets an upper bound: full attention in every layer, and says so.
Not covered: vision and audio towers, multi-token-prediction layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from freehold.errors import InputError
from freehold.hardware.json_file import read_object
from freehold.types.model import MAX_LAYERS, AttentionKind, ExpertShape, LatentShape, RecurrentShape, Shape
from freehold.types.units import MIB

MAX_CONFIG_BYTES = MIB


class Family(NamedTuple):
    """How a `model_type` is built where its config does not say."""

    architecture: str
    flags: dict[str, Any]
    full_every: int = 0
    """Where windows alternate and the config has no `layer_types`: every how many layers one is full."""


FAMILIES: dict[str, Family] = {
    "llama": Family("llama", {}),
    "mistral": Family("llama", {}),
    "mixtral": Family("llama", {}),
    "qwen2": Family("qwen2", {"qkv_bias": True}),
    "qwen3": Family("qwen3", {"qk_norm": "head"}),
    "qwen3_moe": Family("qwen3moe", {"qk_norm": "head"}),
    "gemma2": Family("gemma2", {"norms_per_layer": 4}, 2),
    "gemma3": Family("gemma3", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "gemma3_text": Family("gemma3", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "gemma4": Family("gemma4", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "gemma4_text": Family("gemma4", {"norms_per_layer": 4, "qk_norm": "head"}, 6),
    "phi3": Family("phi3", {"fused_qkv": True}),
    "olmo2": Family("olmo2", {"qk_norm": "full"}),
    "cohere": Family("command-r", {"norms_per_layer": 1}),
    "cohere2": Family("cohere2", {"norms_per_layer": 1}, 4),
    "deepseek_v2": Family("deepseek2", {}),
    "deepseek_v3": Family("deepseek2", {}),
    "kimi_k2": Family("deepseek2", {}),
    "gpt_oss": Family("gpt-oss", {"qkv_bias": True, "output_bias": True, "attention_sinks": True}, 2),
    "granite": Family("granite", {}),
    "ernie4_5": Family("ernie4_5", {}),
    "ernie4_5_moe": Family("ernie4_5-moe", {}),
    "jamba": Family("jamba", {}),
    "qwen3_5_text": Family("qwen35", {"qk_norm": "head", "attention_gate": True}, 4),
    "qwen3_5_moe_text": Family("qwen35moe", {"qk_norm": "head", "attention_gate": True}, 4),
    "deepseek_v32": Family("deepseek2", {}),
    "glm_moe_dsa": Family("glm-dsa", {}),
}

SPARSE = frozenset({"deepseek_v32", "glm_moe_dsa"})
"""Their attention picks tokens with an indexer, which is not counted."""
DELTA = frozenset({"qwen3_5_text", "qwen3_5_moe_text"})
"""Gated delta nets between layers of full attention."""

TIED_BY_DEFAULT = frozenset({"gemma2", "gemma3", "gemma3_text", "gemma4", "gemma4_text", "cohere", "cohere2"})
MIXTURES = frozenset(
    {"mixtral", "qwen3_moe", "qwen3_5_moe_text", "deepseek_v2", "deepseek_v3", "kimi_k2", "gpt_oss", "ernie4_5_moe"}
) | SPARSE  # fmt: skip
"""Mixtures of experts: their config must say how many there are."""
COUNTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
WINDOW_IGNORED = frozenset({"mistral", "phi3", "qwen2", "qwen3", "qwen3_moe"})
"""Their configs name a window that llama.cpp does not use or that is switched off."""


class ConfigShape(NamedTuple):
    """A shape and what to know about it."""

    shape: Shape
    notes: tuple[str, ...]


def shape_from_config(path: Path) -> ConfigShape:
    """The shape a `config.json` (or the folder with one) describes.

    Raises `InputError` when the file is missing, no JSON object, or lacks a key that the sizes need.
    """
    file = path / "config.json" if path.is_dir() else path
    raw = read_object(file, MAX_CONFIG_BYTES)
    if isinstance(raw.get("text_config"), dict):
        raw = {**{key: raw[key] for key in ("tie_word_embeddings",) if key in raw}, **raw["text_config"]}
    kind = str(raw.get("model_type", ""))
    family = FAMILIES.get(kind)
    read = _Keys(raw, str(file))
    notes: list[str] = []
    if family is None:
        notes.append(
            f"model_type {kind or 'missing'} is not known here: an upper bound for the cache, every layer "
            "counted as full attention; parameters are approximate"
        )
        family = Family(kind or "unknown", {})
    layers, hidden, heads = (
        read.whole("num_hidden_layers", MAX_LAYERS), read.whole("hidden_size"), read.whole("num_attention_heads"),
    )  # fmt: skip
    experts = _experts(read, kind)
    kv_heads = read.optional("num_key_value_heads") or heads
    if heads % kv_heads:
        raise InputError(
            f"num_key_value_heads is {kv_heads}, which does not divide {heads} heads", path=read.path
        )
    ffn = read.optional("intermediate_size") or 0
    if not ffn and experts is None and kind in FAMILIES:
        ffn = read.whole("intermediate_size")
    elif not ffn and experts is None:
        notes.append("intermediate_size is missing: its feed-forward weights are not counted")
    latent = _latent(read)
    recurrent = _recurrent(read, hidden) if kind == "jamba" else _delta(read) if kind in DELTA else None
    if kind in SPARSE:
        notes.append("the indexer of its sparse attention is not counted: a lower bound")
    tied = raw.get("tie_word_embeddings")
    attention, window = _attention(raw, kind, family, layers, latent is not None, notes)
    apart: dict[str, Any] = _full_layers(read, attention, raw) if family.architecture == "gemma4" else {}
    if kind == "gemma4_text" and read.optional("hidden_size_per_layer_input"):
        notes.append(
            "embeddings per layer and layers that share a cache are not counted: sizes are approximate"
        )
    return ConfigShape(
        Shape(
            architecture=family.architecture,
            layers=layers,
            hidden=hidden,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=latent.nope_dim + latent.rope_dim
            if latent is not None
            else read.optional("head_dim") or hidden // heads,
            ffn=ffn,
            vocabulary=read.whole("vocab_size"),
            context_tokens=read.whole("max_position_embeddings"),
            tied_embeddings=tied if isinstance(tied, bool) else kind in TIED_BY_DEFAULT,
            attention=attention,
            sliding_window=window,
            experts=experts,
            latent=latent,
            recurrent=recurrent,
            **family.flags,
            **apart,
        ),
        tuple(notes),
    )


def _attention(
    raw: dict[str, Any], kind: str, family: Family, layers: int, latent: bool, notes: list[str]
) -> tuple[tuple[AttentionKind, ...], int | None]:
    every_token: tuple[AttentionKind, ...] = ("full",)
    one_vector: tuple[AttentionKind, ...] = ("latent",)
    if latent:
        return one_vector * layers, None
    if kind == "jamba":
        period, offset = raw.get("attn_layer_period", 8), raw.get("attn_layer_offset", 4)
        if not isinstance(period, int) or not isinstance(offset, int) or period < 1:
            raise InputError(f"attn_layer_period is {period!r}, attn_layer_offset {offset!r}")
        hybrid: tuple[AttentionKind, ...] = tuple(
            _either(layer % period == offset, "full", "recurrent") for layer in range(layers)
        )
        return hybrid, None
    if kind in DELTA:
        named = raw.get("layer_types")
        every = raw.get("full_attention_interval", family.full_every)
        if isinstance(named, list) and len(named) >= layers:
            full = [one == "full_attention" for one in named[:layers]]
        elif isinstance(every, int) and every > 0:
            full = [(layer + 1) % every == 0 for layer in range(layers)]
        else:
            raise InputError(f"full_attention_interval is {every!r}")
        mixed: tuple[AttentionKind, ...] = tuple(_either(one, "full", "recurrent") for one in full)
        return mixed, None
    window = raw.get("sliding_window")
    if not isinstance(window, int) or window < 1 or kind in WINDOW_IGNORED:
        if family.full_every:
            notes.append(
                f"sliding_window is {window!r}: all layers counted as full, an upper bound for the cache"
                if "sliding_window" in raw
                else "sliding_window is missing: all layers counted as full, an upper bound for the cache"
            )
        return every_token * layers, None
    types = raw.get("layer_types")
    if isinstance(types, list) and len(types) >= layers:
        listed: tuple[AttentionKind, ...] = tuple(
            _either("sliding" in str(one), "sliding", "full") for one in types[:layers]
        )
        return listed, window
    every = raw.get("sliding_window_pattern", family.full_every)
    if isinstance(every, int) and every > 1:
        cycled: tuple[AttentionKind, ...] = tuple(
            _either((layer + 1) % every == 0, "full", "sliding") for layer in range(layers)
        )
        return cycled, window
    notes.append("its config names a window but not which layers use it: all counted as full")
    return every_token * layers, None


def _full_layers(read: _Keys, attention: tuple[AttentionKind, ...], raw: dict[str, Any]) -> dict[str, Any]:
    """Gemma 4: full layers have wider and fewer heads, and may use the key as the value."""
    windowed = read.whole("num_key_value_heads")
    full = read.optional("num_global_key_value_heads") or windowed
    return {
        "full_head_dim": read.optional("global_head_dim"),
        "kv_heads_by_layer": tuple(full if kind == "full" else windowed for kind in attention),
        "value_is_key": raw.get("attention_k_eq_v") is True,
    }


def _either(first: bool, one: AttentionKind, other: AttentionKind) -> AttentionKind:
    return one if first else other


def _experts(read: _Keys, kind: str) -> ExpertShape | None:
    count = next((value for key in COUNTS if (value := read.optional(key))), None)
    if count is None and kind in MIXTURES:
        read.whole(next((key for key in COUNTS if key in read.raw), COUNTS[0]))  # says what is wrong with it
    if not count or count < 2:
        return None
    per_token = read.optional("num_experts_per_tok") or read.optional("top_k_experts") or read.whole("moe_k")
    if per_token > count:
        raise InputError(f"{per_token} experts for each token, of {count} in all", path=read.path)
    ffn = read.optional("moe_intermediate_size") or read.whole("intermediate_size")
    return ExpertShape(
        count=count,
        per_token=per_token,
        ffn=ffn,
        shared=read.optional("n_shared_experts")
        or read.optional("moe_num_shared_experts")
        or (1 if kind in DELTA else 0),
        # Gemma 4 runs a dense layer next to the experts: every token passes it.
        shared_ffn=read.whole("intermediate_size")
        if kind.startswith("gemma4")
        else (read.whole("shared_expert_intermediate_size") if kind in DELTA else None),
        dense_layers=read.optional("first_k_dense_replace") or read.optional("moe_layer_start_index") or 0,
        every=read.optional("expert_layer_period") or 1,
        offset=read.optional("expert_layer_offset") or 0,
        score_bias=kind in ("deepseek_v3", "kimi_k2", *SPARSE),
        router_bias=kind == "gpt_oss",
        expert_bias=kind == "gpt_oss",
    )


def _latent(read: _Keys) -> LatentShape | None:
    rank = read.optional("kv_lora_rank")
    if not rank:
        return None
    return LatentShape(
        kv_rank=rank,
        rope_dim=read.whole("qk_rope_head_dim"),
        nope_dim=read.whole("qk_nope_head_dim"),
        value_dim=read.whole("v_head_dim"),
        q_rank=read.optional("q_lora_rank"),
    )


def _recurrent(read: _Keys, hidden: int) -> RecurrentShape:
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


def _delta(read: _Keys) -> RecurrentShape:
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


class _Keys:
    """Whole numbers of a config, with checks."""

    def __init__(self, raw: dict[str, Any], path: str) -> None:
        self.raw = raw
        self.path = path

    def optional(self, key: str) -> int | None:
        value = self.raw.get(key)
        if value is None or isinstance(value, bool) or not isinstance(value, int):
            return None
        if not 0 <= value < 1 << 40:
            raise InputError(f"{key} is {value}", path=self.path)
        return value

    def whole(self, key: str, most: int = 1 << 40) -> int:
        value = self.optional(key)
        if not value or value > most:
            if key not in self.raw:
                raise InputError(f"{key} is missing; the sizes need it", path=self.path)
            raise InputError(
                f"{key} is {self.raw[key]!r}, expected a whole number from 1 to {most:,}", path=self.path
            )
        return value
