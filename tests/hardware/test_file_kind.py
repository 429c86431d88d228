"""What a file of weights is, by its front; how large a folder of safetensors is."""

import json
import os
import struct

import pytest

from freehold.errors import InputError
from freehold.hardware.model_files import StoredForm, form_of_config, kind_of, safetensors_bytes

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
