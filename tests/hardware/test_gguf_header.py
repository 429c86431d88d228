"""Shapes from GGUF headers."""

import struct

import numpy as np
import pytest

from freehold.errors import InputError
from freehold.hardware.gguf_header import (
    FILE_TYPES,
    TENSOR_TYPES,
    Header,
    HeaderTensor,
    LongArray,
    read_header,
    shape_from_gguf,
)
from freehold.hardware.quantization import BLOCKS

gguf = pytest.importorskip("gguf")


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_context_length(512)
    writer.add_file_type(0)
    writer.add_token_list([f"t{number}" for number in range(5000)])
    writer.add_tensor("token_embd.weight", np.zeros((5000, 64), dtype=np.float32))
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((64, 64), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_reads_what_the_library_wrote(small):
    header = read_header(small)
    assert header.architecture == "llama"
    assert header.quantization == "F32"
    assert [(t.name, t.dims, t.type) for t in header.tensors] == [
        ("token_embd.weight", (64, 5000), "F32"),
        ("blk.0.attn_q.weight", (64, 64), "F16"),
    ]
    assert header.tensor_bytes == 64 * 5000 * 4 + 64 * 64 * 2
    assert header.metadata["tokenizer.ggml.tokens"] == LongArray(5000)
    shape = shape_from_gguf(header)
    assert (shape.kv_heads, shape.head_dim, shape.vocabulary) == (2, 16, 5000)
    assert shape.tied_embeddings


def test_every_cut_is_noticed_and_none_is_a_traceback(small, tmp_path):
    whole = small.read_bytes()
    for size in (0, 3, 10, 23, 24, 100, 500, 20_000, 60_000, len(whole) - 33, len(whole) // 2):
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.gguf"):
            read_header(cut)


def front(rest=b"", *, version=3, tensors=0, keys=0):
    """A file that claims this many tensors and keys, and what stands behind that."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest + b"\0" * 80


def a_key(kind, rest):
    return struct.pack("<Q1sI", 1, b"k", kind) + rest


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"GGML" + b"\0" * 60, "does not begin with"),
        (front(version=9), "version 9"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (front(tensors=2**63), "claims"),
        (front(keys=2**64 - 1), "claims"),
        (front(struct.pack("<Q", 2**62) + b"x" * 40, keys=1), "inside its header"),
        (front(a_key(9, struct.pack("<IQ", 8, 2**60)), keys=1), "array"),
        (front(a_key(9, struct.pack("<IQ", 9, 1) * 6), keys=1), "nests"),
        (
            front(a_key(9, struct.pack("<IQ", 9, 150_000) + struct.pack("<IQ", 4, 0) * 150_000), keys=1),
            "arrays",
        ),
        (front(struct.pack("<Q1sIqqIQ", 1, b"t", 2, -5, 4, 0, 0), tensors=1), "dimensions"),
        (front(struct.pack("<Q1sIQIQ", 1, b"t", 1, 4, 777, 0), tensors=1), "type 777"),
        (front(struct.pack("<Q1sIQIQ", 1, b"t", 1, 4, 0, 0) * 2, tensors=2), "2 tensors with 1 names"),
    ],
)
def test_hostile_headers_are_refused(tmp_path, body, says):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(body)
    with pytest.raises(InputError, match=says):
        read_header(path)


def test_missing_part_of_a_split_file(tmp_path, small):
    first = tmp_path / "m-00001-of-00002.gguf"
    first.write_bytes(small.read_bytes())
    with pytest.raises(InputError, match="00002-of-00002"):
        read_header(first)
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(small.read_bytes())
    assert len(read_header(first).tensors) == 4


def test_tables_agree_with_the_library():
    for kind in gguf.GGMLQuantizationType:
        if kind.value in TENSOR_TYPES:
            assert TENSOR_TYPES[kind.value] == kind.name
            assert BLOCKS[kind.name] == gguf.GGML_QUANT_SIZES[kind]
    for kind in gguf.LlamaFileType:
        if kind.value in FILE_TYPES:
            assert kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") == FILE_TYPES[kind.value]


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
        ({"block_count": 2**31 - 1}, "block_count"),
        ({"context_length": 1 << 50}, "llama.context_length is"),
        ({"attention__head_count": [8, 8]}, "is 'a list of 2'"),
    ],
)
def test_impossible_headers_name_the_key(more, message):
    with pytest.raises(InputError, match=message) as caught:
        shape_from_gguf(header(**more))
    assert caught.value.path == "a.gguf"
