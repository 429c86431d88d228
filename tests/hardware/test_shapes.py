"""Shapes from GGUF headers."""

import pytest

from freehold.errors import InputError
from freehold.hardware.gguf_header import Header, HeaderTensor, LongArray, shape_from_gguf

KEYS = {
    "block_count": 4,
    "embedding_length": 256,
    "attention.head_count": 8,
    "attention.head_count_kv": 2,
    "feed_forward_length": 512,
    "context_length": 8192,
}


def header(architecture="llama", tensors=(), **more):
    """Keys are given without the architecture; double underscores stand for points."""
    keys = KEYS | {key.replace("__", "."): value for key, value in more.items()}
    metadata = {f"{architecture}.{key}": value for key, value in keys.items() if value is not None}
    metadata |= {"general.architecture": architecture, "tokenizer.ggml.tokens": LongArray(1000)}
    return Header("a.gguf", metadata, tuple(HeaderTensor(name, (8, 8), "F16", 0) for name in tensors), 1)


def test_windows_by_pattern_and_by_the_architectures_cycle():
    by_pattern = header("gemma4", attention__sliding_window=64,
                        attention__sliding_window_pattern=[True, True, False, True])  # fmt: skip
    assert shape_from_gguf(by_pattern).attention == ("sliding", "sliding", "full", "sliding")
    by_cycle = shape_from_gguf(header("gemma2", attention__sliding_window=64))
    assert by_cycle.attention == ("sliding", "full") * 2 and by_cycle.sliding_window == 64
    assert shape_from_gguf(header("llama4")).attention == ("chunked",) * 3 + ("full",)


def test_layers_without_attention_and_with_a_state():
    shape = shape_from_gguf(
        header(
            "jamba",
            tensors=["blk.0.ssm_out.weight", "blk.1.attn_k.weight"],
            attention__head_count_kv=[0, 2, 0, 2],
            ssm__conv_kernel=4,
            ssm__inner_size=512,
            ssm__state_size=16,
        )
    )
    assert shape.attention == ("recurrent", "full", "none", "full")
    assert shape.recurrent is not None and shape.recurrent.kind == "mamba1"
    assert shape.recurrent.state_values == 16 * 512
    assert shape.kv_heads_by_layer == (0, 2, 0, 2)


def test_latent_attention_keeps_a_vector():
    shape = shape_from_gguf(
        header(
            "deepseek2",
            tensors=[f"blk.{layer}.attn_kv_a_mqa.weight" for layer in range(4)],
            attention__kv_lora_rank=64,
            rope__dimension_count=16,
            attention__key_length=48,
            attention__value_length=32,
        )
    )
    assert set(shape.attention) == {"latent"} and shape.latent is not None
    assert (shape.latent.kv_rank, shape.latent.rope_dim, shape.latent.nope_dim) == (64, 16, 32)


def test_experts_are_where_the_tensors_are():
    shape = shape_from_gguf(
        header(
            "qwen3moe",
            tensors=["blk.1.ffn_down_exps.weight", "blk.3.ffn_down_exps.weight"],
            expert_count=8,
            expert_used_count=2,
        )
    )
    assert shape.experts is not None
    assert [shape.experts.at(layer) for layer in range(4)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"embedding_length": None}, "llama.embedding_length is missing"),
        ({"block_count": 0}, "llama.block_count is 0"),
        ({"block_count": 10**9}, "leaves 1,000,000,000 layers"),
        ({"context_length": 1 << 50}, "llama.context_length is"),
        ({"attention__head_count": [8, 8]}, "is 'a list of 2'"),
    ],
)
def test_impossible_headers_name_the_key(more, message):
    with pytest.raises(InputError, match=message) as caught:
        shape_from_gguf(header(**more))
    assert caught.value.path == "a.gguf"
