"""GGUF files of metadata alone, and plans that name them."""

import struct

import msgspec
import pytest

from freehold.types.endpoint import AdapterMount, ServePlan

pytest.importorskip("xllamacpp")


def gguf(path, **metadata):
    """A GGUF file of metadata alone; names are written with two underscores for a dot."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    body = b""
    for key, value in metadata.items():
        body += text(key.replace("__", "."))
        body += struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<II", 4, value)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + body)
    return str(path)


def with_adapter(plan, path, **fields):
    return msgspec.structs.replace(plan, adapters=(AdapterMount(name="base:x", path=str(path), **fields),))


@pytest.fixture
def plan(tmp_path):
    weights = gguf(
        tmp_path / "base.gguf",
        general__architecture="llama",
        llama__context_length=2048,
        tokenizer__chat_template="{{ messages }}",
    )
    return ServePlan(
        engine="llamacpp", model="base", weights_path=weights, weights_sha256="a" * 64, context_tokens=2048
    )
