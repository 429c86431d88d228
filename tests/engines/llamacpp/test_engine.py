"""What llama.cpp's engine refuses before it starts."""

import msgspec
import pytest
from tests.engines.llamacpp.conftest import gguf, with_adapter

from freehold import engines
from freehold.errors import EngineError, InputError, WeightsError

pytest.importorskip("xllamacpp")


def test_a_sound_plan_passes(plan, tmp_path):
    engines.check(plan)
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="llama", general__type="adapter")
    engines.check(with_adapter(plan, adapter, base_sha256="a" * 64))


def test_context_beyond_the_model(plan):
    with pytest.raises(EngineError, match="context of 2048 tokens, 4096 were asked for"):
        engines.check(msgspec.structs.replace(plan, context_tokens=4096))


def test_a_missing_template_needs_one_given(plan, tmp_path):
    bare = gguf(tmp_path / "bare.gguf", general__architecture="llama")
    bare_plan = msgspec.structs.replace(plan, weights_path=bare)
    with pytest.raises(EngineError, match="no chat template"):
        engines.check(bare_plan)
    engines.check(msgspec.structs.replace(bare_plan, options={"chat_template": "{{ messages }}"}))


def test_weights_that_are_not_there_or_not_gguf(plan, tmp_path):
    with pytest.raises(EngineError, match="no weights are named"):
        engines.check(msgspec.structs.replace(plan, weights_path=None))
    with pytest.raises(InputError, match="no such file"):
        engines.check(msgspec.structs.replace(plan, weights_path=str(tmp_path / "gone.gguf")))
    (tmp_path / "odd.gguf").write_bytes(b"something else entirely")
    with pytest.raises(WeightsError, match="neither GGUF nor safetensors"):
        engines.check(msgspec.structs.replace(plan, weights_path=str(tmp_path / "odd.gguf")))
