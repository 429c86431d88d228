"""What a `config.json` of transformers does not say about its family: the code of `transformers.models` does."""

from __future__ import annotations

from typing import Any, NamedTuple

from freehold.errors import InputError


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
