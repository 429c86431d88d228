"""Configs of hybrids as their releases have them; counts are those that the hub states for their files."""

import json

import pytest

from freehold.errors import InputError
from freehold.hardware.hf_config import shape_from_config
from freehold.hardware.tensors import parameter_count

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


def shape(folder, config):
    (folder / "config.json").write_text(json.dumps(config))
    return shape_from_config(folder)


@pytest.mark.parametrize(
    ("config", "parameters", "attending"),
    [
        (NEMOTRON, 8_888_227_328, 4),
        (GRANITE, 6_939_037_248, 4),
        (KIMI_LINEAR, 49_122_681_728, 7),
        (LFM2, 1_170_340_608, 6),
    ],
)
def test_a_hybrid_is_counted_to_the_last_weight(tmp_path, config, parameters, attending):
    found = shape(tmp_path, config)
    assert found.notes == ()
    assert parameter_count(found.shape) == parameters
    assert sum(kind in ("full", "latent") for kind in found.shape.attention) == attending


def test_nemotron_may_count_its_layers_by_their_list_alone(tmp_path):
    letters = {"M": "mamba", "-": "mlp", "*": "attention"}
    listed = {key: value for key, value in NEMOTRON.items() if key != "num_hidden_layers"}
    listed["layers_block_type"] = [letters[one] for one in listed.pop("hybrid_override_pattern")]
    assert shape(tmp_path, listed).shape == shape(tmp_path, NEMOTRON).shape


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({**GRANITE, "layer_types": ["mamba"] * 39 + ["window"]}, "layer_types has a layer 'window'"),
        ({**GRANITE, "layer_types": None}, "which layers have attention is missing"),
        ({**KIMI_LINEAR, "linear_attn_config": None}, "full_attn_layers is missing"),
        ({**NEMOTRON, "mamba_num_heads": None}, "mamba_num_heads is None"),
    ],
)
def test_a_hybrid_that_does_not_say_its_layers_is_refused(tmp_path, config, says):
    with pytest.raises(InputError, match=says):
        shape(tmp_path, config)
