"""What llama.cpp's engine refuses before it starts."""

import struct

import msgspec
import pytest

from freehold import engines
from freehold.errors import EngineError, InputError, UsageError, WeightsError
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


def with_adapter(plan, path, **fields):
    return msgspec.structs.replace(plan, adapters=(AdapterMount(name="base:x", path=str(path), **fields),))


def test_a_sound_plan_passes(plan, tmp_path):
    engines.check(plan)
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="llama", general__type="adapter")
    engines.check(with_adapter(plan, adapter, base_sha256="a" * 64))


def test_values_are_not_quantized_without_flash_attention(plan):
    off = msgspec.structs.replace(plan, kv_type="q8_0", options={"flash_attention": "off"})
    with pytest.raises(UsageError, match="with flash attention only"):
        engines.check(off)
    engines.check(msgspec.structs.replace(off, kv_type="f16", options={**off.options, "key_type": "q8_0"}))


def test_context_beyond_the_model(plan):
    with pytest.raises(EngineError, match="context of 2048 tokens, 4096 were asked for"):
        engines.check(msgspec.structs.replace(plan, context_tokens=4096))


def test_a_missing_template_needs_one_given(plan, tmp_path):
    bare = gguf(tmp_path / "bare.gguf", general__architecture="llama")
    bare_plan = msgspec.structs.replace(plan, weights_path=bare)
    with pytest.raises(EngineError, match="no chat template"):
        engines.check(bare_plan)
    engines.check(msgspec.structs.replace(bare_plan, options={"chat_template": "{{ messages }}"}))


def test_an_adapter_for_other_weights_names_both_hashes(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="llama", general__type="adapter")
    with pytest.raises(EngineError, match=f"{'b' * 64}.*{'a' * 64}"):
        engines.check(with_adapter(plan, adapter, base_sha256="b" * 64))


def test_an_adapter_for_another_architecture(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="gemma3", general__type="adapter")
    with pytest.raises(EngineError, match="for gemma3 models, the base is llama"):
        engines.check(with_adapter(plan, adapter))


def test_a_model_is_no_adapter(plan):
    with pytest.raises(EngineError, match="a model, not an adapter"):
        engines.check(with_adapter(plan, plan.weights_path))


def test_an_adapter_folder_needs_one_gguf(plan, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    with pytest.raises(InputError, match="has no GGUF file"):
        engines.check(with_adapter(plan, folder))


def test_weights_that_are_not_there_or_not_gguf(plan, tmp_path):
    with pytest.raises(EngineError, match="no weights are named"):
        engines.check(msgspec.structs.replace(plan, weights_path=None))
    with pytest.raises(InputError, match="no such file"):
        engines.check(msgspec.structs.replace(plan, weights_path=str(tmp_path / "gone.gguf")))
    (tmp_path / "odd.gguf").write_bytes(b"something else entirely")
    with pytest.raises(WeightsError, match="neither GGUF nor safetensors"):
        engines.check(msgspec.structs.replace(plan, weights_path=str(tmp_path / "odd.gguf")))


def test_an_unknown_kv_type(plan):
    with pytest.raises(UsageError, match="'q9' is unknown"):
        engines.check(msgspec.structs.replace(plan, kv_type="q9"))
