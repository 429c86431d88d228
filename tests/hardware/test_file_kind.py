import json
import os
import struct

import pytest

from freehold.errors import InputError
from freehold.hardware.file_kind import kind_of

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


def test_json_comes_parsed(tmp_path):
    assert kind_of(written(tmp_path, {"model_type": "llama"})).value == {"model_type": "llama"}


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
