"""Shapes from config.json, to the last weight."""

import json

import pytest

from freehold.catalog import models
from freehold.errors import InputError
from freehold.hardware.hf_config import shape_from_config
from freehold.hardware.hf_families import FAMILIES
from freehold.hardware.memory import kv_cache
from freehold.hardware.tensors import active_parameter_count, parameter_count
from freehold.types.machine import Workload

GEMMA = {
    "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text", "num_hidden_layers": 62, "hidden_size": 5376, "num_attention_heads": 32,
        "num_key_value_heads": 16, "head_dim": 128, "intermediate_size": 21504, "vocab_size": 262144,
        "max_position_embeddings": 131072, "sliding_window": 1024,
    },
}  # fmt: skip


DEEPSEEK = {
    "model_type": "deepseek_v3", "num_hidden_layers": 61, "hidden_size": 7168, "num_attention_heads": 128,
    "num_key_value_heads": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048, "vocab_size": 129280,
    "max_position_embeddings": 163840, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256, "num_experts_per_tok": 8,
    "n_shared_experts": 1, "first_k_dense_replace": 3, "tie_word_embeddings": False,
}  # fmt: skip


SMOL = {
    "model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576, "num_attention_heads": 9,
    "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 49152, "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}  # fmt: skip


JAMBA = {
    "model_type": "jamba", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 65536, "max_position_embeddings": 262144,
    "num_experts": 16, "num_experts_per_tok": 2, "expert_layer_period": 2, "expert_layer_offset": 1,
    "attn_layer_period": 8, "attn_layer_offset": 4, "mamba_dt_rank": 256, "tie_word_embeddings": False,
}  # fmt: skip


def write(folder, config):
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (GEMMA, "google/gemma-3-27b-it"),
        (DEEPSEEK, "deepseek-ai/DeepSeek-V3"),
        (SMOL, "HuggingFaceTB/SmolLM2-135M-Instruct"),
        (JAMBA, "ai21labs/AI21-Jamba-1.5-Mini"),
    ],
)
def test_a_config_says_what_the_catalog_says(tmp_path, config, name):
    found = shape_from_config(write(tmp_path, config))
    known = models.get(name).shape
    assert found.notes == ()
    assert parameter_count(found.shape) == parameter_count(known)
    assert found.shape.attention == known.attention
    assert found.shape.sliding_window == known.sliding_window


def test_an_unknown_architecture_is_a_bound_and_says_so(tmp_path):
    found = shape_from_config(write(tmp_path, SMOL | {"model_type": "brandnew", "sliding_window": 128}))
    assert "brandnew is not known here" in found.notes[0]
    assert set(found.shape.attention) == {"full"}


def test_what_a_config_leaves_out_is_said(tmp_path):
    unknown = {key: value for key, value in SMOL.items() if key != "intermediate_size"}
    found = shape_from_config(write(tmp_path, unknown | {"model_type": "brandnew"}))
    assert any("feed-forward weights are not counted" in note for note in found.notes)
    windowless = {key: value for key, value in GEMMA["text_config"].items() if key != "sliding_window"}
    found = shape_from_config(write(tmp_path, windowless))
    assert any("sliding_window is missing: all layers counted as full" in note for note in found.notes)


def test_every_family_has_a_name_llama_cpp_knows():
    gguf = pytest.importorskip("gguf")
    names = set(gguf.MODEL_ARCH_NAMES.values())
    newer = {
        "deepseek4",
        "minimax-m3",
        "muse-glimmer",
    }  # which the llama.cpp that freehold ships with does not know
    assert {family.architecture for family in FAMILIES.values()} - names == newer


def test_gemma_4_has_other_heads_in_full_layers(tmp_path):
    """Sizes of google/gemma-4-31B-it, as its config.json has them: 30.7 billion parameters."""
    text = {
        "model_type": "gemma4_text", "num_hidden_layers": 60, "hidden_size": 5376, "num_attention_heads": 32,
        "num_key_value_heads": 16, "num_global_key_value_heads": 4, "head_dim": 256, "global_head_dim": 512,
        "attention_k_eq_v": True, "intermediate_size": 21504, "vocab_size": 262144, "sliding_window": 1024,
        "max_position_embeddings": 262144, "num_experts": None,
        "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 10,
    }  # fmt: skip
    shape = shape_from_config(write(tmp_path, {"model_type": "gemma4", "text_config": text})).shape
    assert shape == models.get("google/gemma-4-31B-it").shape
    assert parameter_count(shape) == 30_697_345_280
    cache = kv_cache(shape, Workload(context_tokens=4096))
    assert cache.tokens_bytes == 2 * 2 * (50 * 1024 * 16 * 256 + 10 * 4096 * 4 * 512)
    experts = models.get("google/gemma-4-26B-A4B-it").shape
    assert parameter_count(experts) / 1e9 == pytest.approx(25.2, abs=0.05)
    assert active_parameter_count(experts) / 1e9 == pytest.approx(3.8, abs=0.05)


QWEN35 = {
    "vocab_size": 248320, "max_position_embeddings": 262144, "head_dim": 256, "full_attention_interval": 4,
    "linear_num_key_heads": 16, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("Qwen/Qwen3.6-27B", {
            "model_type": "qwen3_5_text", "num_hidden_layers": 64, "hidden_size": 5120, "num_attention_heads": 24,
            "num_key_value_heads": 4, "intermediate_size": 17408, "linear_num_value_heads": 48,
            "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 16,
        }),
        ("Qwen/Qwen3.6-35B-A3B", {
            "model_type": "qwen3_5_moe_text", "num_hidden_layers": 40, "hidden_size": 2048, "num_attention_heads": 16,
            "num_key_value_heads": 2, "num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512, "linear_num_value_heads": 32,
        }),
    ],
)  # fmt: skip
def test_delta_nets_are_read_as_the_catalog_has_them(tmp_path, model, text):
    config = {"model_type": "qwen3_5", "tie_word_embeddings": False, "text_config": QWEN35 | text}
    found = shape_from_config(write(tmp_path, config))
    assert found.shape == models.get(model).shape
    assert found.notes == ()


def test_sparse_attention_is_a_lower_bound_and_says_so(tmp_path):
    config = {
        "model_type": "glm_moe_dsa", "num_hidden_layers": 78, "hidden_size": 6144, "num_attention_heads": 64,
        "num_key_value_heads": 64, "head_dim": 64, "intermediate_size": 12288, "moe_intermediate_size": 2048,
        "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1, "first_k_dense_replace": 3,
        "vocab_size": 154880, "max_position_embeddings": 202752, "tie_word_embeddings": False, "q_lora_rank": 2048,
        "kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
    }  # fmt: skip
    found = shape_from_config(write(tmp_path, config))
    assert found.shape == models.get("zai-org/GLM-5").shape
    assert "lower bound" in found.notes[0]


DEEPSEEK_V4 = {
    "model_type": "deepseek_v4", "num_hidden_layers": 43, "hidden_size": 4096, "num_attention_heads": 64,
    "num_key_value_heads": 1, "head_dim": 512, "moe_intermediate_size": 2048, "n_routed_experts": 256,
    "n_shared_experts": 1, "num_experts_per_tok": 6, "vocab_size": 129280, "max_position_embeddings": 1048576,
    "q_lora_rank": 1024, "o_lora_rank": 1024, "o_groups": 8, "index_n_heads": 64, "index_head_dim": 128,
    "hc_mult": 4, "sliding_window": 128, "tie_word_embeddings": False,
    "compress_ratios": [0, 0, *[4, 128] * 20, 4, 0],
}  # fmt: skip

GEMMA_4_E2B = {
    "model_type": "gemma4_text", "hidden_size": 1536, "intermediate_size": 6144, "num_hidden_layers": 35,
    "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256, "global_head_dim": 512,
    "vocab_size": 262144, "max_position_embeddings": 131072, "sliding_window": 512, "num_kv_shared_layers": 20,
    "hidden_size_per_layer_input": 256, "use_double_wide_mlp": True, "tie_word_embeddings": True,
    "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 7,
}  # fmt: skip


NEMOTRON = {
    "model_type": "nemotron_h", "num_hidden_layers": 56, "hidden_size": 4480, "intermediate_size": 15680,
    "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 131072,
    "hybrid_override_pattern": "M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-",
    "mamba_num_heads": 128, "mamba_head_dim": 80, "mamba_state_dim": 128, "mamba_num_groups": 8, "conv_kernel": 4,
    "max_position_embeddings": 131072, "tie_word_embeddings": False,
}  # fmt: skip

GRANITE = {
    "model_type": "granitemoehybrid", "hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 12,
    "num_key_value_heads": 4, "intermediate_size": 512, "shared_intermediate_size": 1024, "num_local_experts": 64,
    "num_experts_per_tok": 6, "vocab_size": 100352, "tie_word_embeddings": True, "mamba_d_state": 128,
    "mamba_n_groups": 1, "mamba_n_heads": 48, "mamba_d_head": 64, "mamba_expand": 2, "mamba_d_conv": 4,
    "max_position_embeddings": 131072,
    "layer_types": ["attention" if layer % 10 == 5 else "mamba" for layer in range(40)],
}  # fmt: skip

KIMI_LINEAR = {
    "model_type": "kimi_linear", "vocab_size": 163840, "hidden_size": 2304, "intermediate_size": 9216,
    "moe_intermediate_size": 1024, "num_hidden_layers": 27, "num_attention_heads": 32, "num_key_value_heads": 32,
    "num_shared_experts": 1, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "qk_nope_head_dim": 128, "num_experts_per_token": 8, "num_experts": 256, "first_k_dense_replace": 1,
    "max_position_embeddings": 1048576, "tie_word_embeddings": False,
    "linear_attn_config": {
        "full_attn_layers": [4, 8, 12, 16, 20, 24, 27], "head_dim": 128, "num_heads": 32,
        "short_conv_kernel_size": 4,
    },
}  # fmt: skip

LFM2 = {
    "model_type": "lfm2", "num_hidden_layers": 16, "hidden_size": 2048, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 12288, "vocab_size": 65536, "max_position_embeddings": 128000,
    "conv_L_cache": 3, "full_attn_idxs": [2, 5, 8, 10, 12, 14],
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "parameters", "attending"),
    [
        (
            DEEPSEEK_V4,
            284_332_230_231 + 43 * 256,
            None,
        ),  # transformers' model, and a bias of the router for each expert
        (GEMMA_4_E2B, 4_628_569_344, None),
        (NEMOTRON, 8_888_227_328, 4),
        (GRANITE, 6_939_037_248, 4),
        (KIMI_LINEAR, 49_122_681_728, 7),
        (LFM2, 1_170_340_608, 6),
    ],
)
def test_a_model_is_counted_to_the_last_weight_as_transformers_builds_it(
    tmp_path, config, parameters, attending
):
    found = shape_from_config(write(tmp_path, config))
    assert found.notes == ()
    assert parameter_count(found.shape) == parameters
    if attending is not None:
        assert sum(kind in ("full", "latent") for kind in found.shape.attention) == attending


def test_nemotron_may_count_its_layers_by_their_list_alone(tmp_path):
    letters = {"M": "mamba", "-": "mlp", "*": "attention"}
    listed = {key: value for key, value in NEMOTRON.items() if key != "num_hidden_layers"}
    listed["layers_block_type"] = [letters[one] for one in listed.pop("hybrid_override_pattern")]
    assert (
        shape_from_config(write(tmp_path, listed)).shape == shape_from_config(write(tmp_path, NEMOTRON)).shape
    )


@pytest.mark.parametrize(
    ("config", "says"),
    [
        *(({**SMOL, "num_hidden_layers": n}, "num_hidden_layers is") for n in (-1, 1e30, 10**7, "32", True)),
        ({**SMOL, "intermediate_size": None}, "intermediate_size is None"),
        ({**SMOL, "num_key_value_heads": 4}, "num_key_value_heads is 4, which does not divide 9 heads"),
        ({**DEEPSEEK, "n_routed_experts": 0}, "n_routed_experts is 0"),
        ({**DEEPSEEK, "num_experts_per_tok": 300}, "300 experts for each token, of 256"),
        ({**SMOL, "model_type": "mixtral"}, "n_routed_experts is missing"),
        ({**GRANITE, "layer_types": ["mamba"] * 39 + ["window"]}, "layer_types has a layer 'window'"),
        ({**GRANITE, "layer_types": None}, "which layers have attention is missing"),
        ({**KIMI_LINEAR, "linear_attn_config": None}, "full_attn_layers is missing"),
        ({**NEMOTRON, "mamba_num_heads": None}, "mamba_num_heads is None"),
    ],
)
def test_a_config_that_cannot_be_is_refused_and_nothing_is_guessed(tmp_path, config, says):
    with pytest.raises(InputError, match=says):
        shape_from_config(write(tmp_path, config))
