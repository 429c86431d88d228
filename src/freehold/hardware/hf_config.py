"""Shapes from a `config.json` as transformers writes it.

Covered: the families in `hf_families.FAMILIES`; a text model inside a multimodal config (`text_config`). An
architecture that is not in the table gets an upper bound: full attention in every layer, and says so.
Not covered: vision and audio towers, multi-token-prediction layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from freehold.errors import InputError
from freehold.hardware.hf_families import (
    DELTA,
    FAMILIES,
    HYBRID,
    MIXTURES,
    SCORE_BIAS,
    SPARSE,
    TIED_BY_DEFAULT,
    WINDOW_IGNORED,
    ConfigKeys,
    Family,
    layer_count,
    layer_kinds,
    recurrent_shape,
)
from freehold.hardware.model_files import read_object
from freehold.types.model import MAX_LAYERS, AttentionKind, CompressedShape, ExpertShape, LatentShape, Shape
from freehold.visible import MIB

MAX_CONFIG_BYTES = 8 * MIB
"""The list of layers left unquantized makes a config of MiniMax M3 in NVFP4 3 MB long."""
COUNTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")


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
    kind = "minimax_m3" if kind == "minimax_m3_vl_text" else kind
    family = FAMILIES.get(kind)
    read = ConfigKeys(raw, str(file))
    notes: list[str] = []
    if family is None:
        notes.append(
            f"model_type {kind or 'missing'} is not known here: an upper bound for the cache, every layer "
            "counted as full attention; parameters are approximate"
        )
        family = Family(kind or "unknown", {})
    layers, hidden, heads = (
        layer_count(read, kind, MAX_LAYERS), read.whole("hidden_size"), read.whole("num_attention_heads"),
    )  # fmt: skip
    experts = _experts(read, kind)
    kv_heads = read.optional("num_key_value_heads") or heads
    if heads % kv_heads:
        raise InputError(
            f"num_key_value_heads is {kv_heads}, which does not divide {heads} heads", path=read.path
        )
    ffn = _dense_width(read, kind, experts)
    if not ffn and experts is None and kind in FAMILIES:
        ffn = read.whole("intermediate_size")
    elif not ffn and experts is None:
        notes.append("intermediate_size is missing: its feed-forward weights are not counted")
    latent = _latent(read)
    if kind in SPARSE:
        notes.append("the indexer of its sparse attention is not counted: a lower bound")
    tied = raw.get("tie_word_embeddings")
    attention: tuple[AttentionKind, ...]
    window: int | None
    if kind == "deepseek_v4":
        pooled: tuple[AttentionKind, ...] = ("compressed",)
        attention, window = pooled * layers, read.whole("sliding_window")
    elif kind in HYBRID:
        attention, window = layer_kinds(read, kind, layers, family.full_every), None
    else:
        attention, window = _attention(raw, kind, family, layers, latent is not None, notes)
    apart = {**family.flags, **_stated(read, kind)}
    if family.architecture == "gemma4":
        apart |= _full_layers(read, attention, raw)
    elif kind == "deepseek_v4":
        apart |= {"compressed": _compressed(read, layers), "hyper_connections": read.optional("hc_mult") or 0}
    elif kind == "mimo_v2_flash":
        apart |= _windowed_heads(read, attention)
    return ConfigShape(
        Shape(
            architecture=apart.pop("architecture", family.architecture),
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
            recurrent=recurrent_shape(read, kind, hidden),
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
    if kind == "mimo_v2_flash" and isinstance(raw.get("hybrid_layer_pattern"), list):
        types = ["sliding" if one else "full" for one in raw["hybrid_layer_pattern"]]
    if isinstance(types, list) and len(types) >= layers:
        listed: tuple[AttentionKind, ...] = tuple(
            _either("sliding" in str(one), "sliding", "full") for one in types[:layers]
        )
        return listed, window
    every = raw.get("sliding_window_pattern", family.full_every)
    if isinstance(every, str) and every.endswith("G"):  # EXAONE: "LLLG", local three times and then global
        every = len(every)
    if isinstance(every, int) and every > 1:
        cycled: tuple[AttentionKind, ...] = tuple(
            _either((layer + 1) % every == 0, "full", "sliding") for layer in range(layers)
        )
        return cycled, window
    notes.append("its config names a window but not which layers use it: all counted as full")
    return every_token * layers, None


def _full_layers(
    read: ConfigKeys, attention: tuple[AttentionKind, ...], raw: dict[str, Any]
) -> dict[str, Any]:
    """Gemma 4: full layers have wider and fewer heads, and may use the key as the value; the last ones may borrow."""
    windowed = read.whole("num_key_value_heads")
    full = read.optional("num_global_key_value_heads") or windowed
    borrowed = read.optional("num_kv_shared_layers") or 0
    wide = 2 * read.whole("intermediate_size") if raw.get("use_double_wide_mlp") is True else None
    return {
        "full_head_dim": read.optional("global_head_dim"),
        "kv_heads_by_layer": tuple(full if kind == "full" else windowed for kind in attention),
        "value_is_key": raw.get("attention_k_eq_v") is True,
        "layer_embedding": read.optional("hidden_size_per_layer_input") or 0,
        "borrowed_cache_layers": borrowed,
        "borrowed_ffn": wide if borrowed else None,
    }


def _either(first: bool, one: AttentionKind, other: AttentionKind) -> AttentionKind:
    return one if first else other


def _experts(read: ConfigKeys, kind: str) -> ExpertShape | None:
    count = next((value for key in COUNTS if (value := read.optional(key))), None)
    if count is None and kind in MIXTURES:
        read.whole(next((key for key in COUNTS if key in read.raw), COUNTS[0]))  # says what is wrong with it
    if not count or count < 2:
        return None
    per_token = read.optional("num_experts_per_tok", "num_experts_per_token", "top_k_experts") or read.whole(
        "moe_k"
    )
    if per_token > count:
        raise InputError(f"{per_token} experts for each token, of {count} in all", path=read.path)
    return ExpertShape(
        count=count,
        per_token=per_token,
        ffn=read.optional("moe_intermediate_size") or read.whole("intermediate_size"),
        shared=read.optional("n_shared_experts", "moe_num_shared_experts", "num_shared_experts")
        or (1 if kind in DELTA or kind == "granitemoehybrid" else 0),
        shared_ffn=_shared_width(read, kind),
        hidden=read.optional("moe_latent_size", "routed_expert_hidden_size"),
        dense_layers=_dense_layers(read),
        every=read.optional("expert_layer_period") or 1,
        offset=read.optional("expert_layer_offset") or 0,
        score_bias=kind in SCORE_BIAS,
        router_bias=kind == "gpt_oss",
        expert_bias=kind == "gpt_oss",
    )


def _shared_width(read: ConfigKeys, kind: str) -> int | None:
    """Width of what every token passes next to its experts, where it is not theirs."""
    if kind.startswith("gemma4"):  # a dense layer next to the experts
        return read.whole("intermediate_size")
    if kind in DELTA:
        return read.whole("shared_expert_intermediate_size")
    return read.optional("moe_shared_expert_intermediate_size", "shared_intermediate_size") or None


def _dense_layers(read: ConfigKeys) -> int:
    """How many layers at the start have no experts."""
    every = read.raw.get("moe_layer_freq", read.raw.get("is_moe_layer"))
    if isinstance(every, list):  # one entry a layer
        return next((layer for layer, sparse in enumerate(every) if sparse), 0)
    return read.optional("first_k_dense_replace", "moe_layer_start_index", "num_dense_layers") or 0


def _dense_width(read: ConfigKeys, kind: str, experts: ExpertShape | None) -> int:
    """Width of feed-forward layers without experts; 0 where there are none."""
    if kind == "granitemoehybrid":
        return read.whole("shared_intermediate_size") if experts is None else 0
    everywhere = experts is not None and experts.dense_layers == 0
    if everywhere and kind in ("minimax_m2", "qwen3_next", "nemotron_h", "mistral4"):
        return 0
    width = read.optional("dense_intermediate_size", "intermediate_size") or 0
    if kind == "lfm2" and read.raw.get("block_auto_adjust_ff_dim", True) is True:
        # As transformers' Lfm2MLP rounds it.
        multiple = read.optional("block_multiple_of") or 256
        return -(-(2 * width // 3) // multiple) * multiple
    return width


def _stated(read: ConfigKeys, kind: str) -> dict[str, Any]:
    """Biases and norms that a family's config switches on or off."""
    found: dict[str, Any] = {}
    if kind in ("glm4_moe", "seed_oss"):
        found["qkv_bias"] = read.raw.get("attention_bias") is True
    if kind == "seed_oss":
        found["output_bias"] = read.raw.get("attention_out_bias") is True
    if kind == "glm4_moe" and read.raw.get("use_qk_norm") is True:
        found["qk_norm"] = "head"
    if kind == "nemotron_h" and read.optional("n_routed_experts") is None:
        found["architecture"] = "nemotron_h"
    return found


def _windowed_heads(read: ConfigKeys, attention: tuple[AttentionKind, ...]) -> dict[str, Any]:
    """MiMo: layers with a window have a number of key/value heads of their own, values are narrower than keys."""
    full = read.whole("num_key_value_heads")
    windowed = read.optional("swa_num_key_value_heads") or full
    return {
        "kv_heads_by_layer": tuple(full if kind == "full" else windowed for kind in attention),
        "value_head_dim": read.optional("v_head_dim"),
    }


def _compressed(read: ConfigKeys, layers: int) -> CompressedShape:
    """DeepSeek V4's attention. Entries beyond the layers are those of the multi-token-prediction part."""
    ratios = read.raw.get("compress_ratios")
    if not isinstance(ratios, list) or len(ratios) < layers or not all(type(one) is int for one in ratios):
        raise InputError(f"compress_ratios has not one number for each of {layers} layers", path=read.path)
    return CompressedShape(
        q_rank=read.whole("q_lora_rank"),
        output_rank=read.whole("o_lora_rank"),
        output_groups=read.whole("o_groups"),
        every=tuple(ratios[:layers]),
        indexed=min((one for one in ratios[:layers] if one), default=0),
        index_heads=read.whole("index_n_heads"),
        index_dim=read.whole("index_head_dim"),
    )


def _latent(read: ConfigKeys) -> LatentShape | None:
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
