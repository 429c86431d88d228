"""What a file of weights is, by its front; how large a folder of safetensors is."""

import json
import os
import struct

import numpy as np
import pytest

from freehold.errors import InputError
from freehold.hardware.gguf_header import FILE_TYPES, TENSOR_TYPES, LongArray, read_header
from freehold.hardware.model_files import StoredForm, form_of_config, kind_of, safetensors_bytes
from freehold.hardware.quantization import BLOCKS
from freehold.hardware.shapes import shape_from_gguf

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


@pytest.mark.parametrize("layers", [0, 10**6, 2**31 - 1])
def test_absurd_numbers_of_layers_are_refused_at_once(small, layers):
    header = read_header(small)
    header.metadata["llama.block_count"] = layers
    with pytest.raises(InputError, match="block_count"):
        shape_from_gguf(header)


def test_every_cut_is_noticed_and_none_is_a_traceback(small, tmp_path):
    whole = small.read_bytes()
    for size in (0, 3, 10, 23, 24, 100, 500, 20_000, 60_000, len(whole) - 33, len(whole) // 2):
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.gguf"):
            read_header(cut)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"GGML" + b"\0" * 60, "does not begin with"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version 9"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**64 - 1), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + b"x" * 40, "inside its header"),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 0, 1)
            + struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 2**60)
            + b"\0" * 40,
            "array",
        ),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 0, 1)
            + struct.pack("<Q1sI", 1, b"k", 9)
            + struct.pack("<IQ", 9, 1) * 6
            + b"\0" * 40,
            "nests",
        ),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 0, 1)
            + struct.pack("<Q1sI", 1, b"k", 9)
            + struct.pack("<IQ", 9, 150_000)
            + struct.pack("<IQ", 4, 0) * 150_000,
            "arrays",
        ),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 1, 0)
            + struct.pack("<Q1sIqqIQ", 1, b"t", 2, -5, 4, 0, 0)
            + b"\0" * 40,
            "dimensions",
        ),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 1, 0)
            + struct.pack("<Q1sIQIQ", 1, b"t", 1, 4, 777, 0)
            + b"\0" * 40,
            "type 777",
        ),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 2, 0)
            + struct.pack("<Q1sIQIQ", 1, b"t", 1, 4, 0, 0) * 2
            + b"\0" * 80,
            "2 tensors with 1 names",
        ),
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


HEADER = json.dumps({"w": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}).encode()


def written(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.mark.parametrize(
    ("content", "kind", "what"),
    [
        (b"GGUF\x03\0\0\0", "gguf", "a GGUF file"),
        (struct.pack("<Q", len(HEADER)) + HEADER + b"\0\0", "safetensors", "a safetensors file"),
        ({"model_type": "llama"}, "config", "a config.json"),
        ({"text_config": {}}, "config", "a config.json"),
        ({"weight_map": {"w": "a.safetensors"}}, "index", "a safetensors index"),
        ({"peft_type": "LORA"}, "adapter", "PEFT adapter"),
        ({"layers": [{"mediaType": "x"}]}, "ollama", "an Ollama manifest"),
        ({"name": "x"}, "other", "neither config.json nor a safetensors index"),
        (b"", "other", "an empty file"),
        (b"PK\x03\x04rest", "other", "pickles inside"),
        (b"FUGG", "other", "other byte order"),
        (b"<!DOCTYPE html>", "other", "what a hub answered instead"),
        (b"version https://git-lfs.github.com/spec/v1", "other", "git lfs pull"),
        (b"hello\n", "other", "a text file"),
        (b"\x00\x01\x02", "other", "of no kind that is known here"),
    ],
)
def test_a_file_is_told_by_its_front(tmp_path, content, kind, what):
    found = kind_of(written(tmp_path, content))
    assert found.kind == kind and what in found.what


def test_a_file_that_only_begins_like_json_is_an_error(tmp_path):
    with pytest.raises(InputError, match="looks like JSON and is not"):
        kind_of(written(tmp_path, b"{nope"))


def test_what_cannot_be_looked_at_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        kind_of(tmp_path / "none")
    with pytest.raises(InputError, match="no plain file"):
        kind_of(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no plain file"):
        kind_of(tmp_path / "pipe")


def test_safetensors_by_index_or_header(tmp_path):
    header = b'{"__metadata__":{}}'
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 100)
    assert safetensors_bytes(tmp_path) == 100
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 400000000000}}')
    assert safetensors_bytes(tmp_path) == 400_000_000_000
    (tmp_path / "model.safetensors.index.json").unlink()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(InputError, match="safetensors"):
        safetensors_bytes(tmp_path)


@pytest.mark.parametrize("metadata", [None, [], {"total_size": "big"}])
def test_an_index_without_a_size_falls_back_to_the_files(tmp_path, metadata):
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": metadata, "weight_map": {}})
    )
    with pytest.raises(InputError, match="no safetensors"):
        safetensors_bytes(tmp_path)


INT4 = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 32}}},
    "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"],
}
"""As Kimi-K2.5's config.json has it."""


@pytest.mark.parametrize(
    ("config", "form"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, StoredForm("FP8")),
        ({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.self_attn.indexer.k_norm"]},
         StoredForm("FP8")),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]},
         StoredForm("MXFP4", "BF16")),
        (INT4, StoredForm("INT4", "BF16")),
        ({**INT4, "ignore": ["lm_head"]}, StoredForm("INT4")),
        ({"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized", "ignore": ["re:.*self_attn.*"]},
         StoredForm("MXFP4", "BF16")),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, StoredForm("FP8")),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, StoredForm("NVFP4")),
        ({"quant_method": "awq", "bits": 4}, StoredForm("AWQ")),
        ({"quant_method": "gptq", "bits": 8}, StoredForm("INT8")),
        ({"quant_method": "something new"}, None),
        ("fp8", None),
    ],
)  # fmt: skip
def test_the_form_is_read_from_the_config(config, form):
    assert form_of_config({"quantization_config": config}) == form
    assert form_of_config({"text_config": {"quantization_config": config}}) == form
