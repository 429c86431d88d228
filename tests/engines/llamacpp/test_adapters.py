"""Adapters llama.cpp cannot take are refused before it starts."""

import pytest
from tests.engines.llamacpp.headers import gguf, with_adapter

from freehold import engines
from freehold.errors import EngineError, InputError

pytest.importorskip("xllamacpp")


def test_an_adapter_for_other_weights_names_both_hashes(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="llama", general__type="adapter")
    with pytest.raises(EngineError, match=f"{'b' * 64}.*{'a' * 64}"):
        engines.check(with_adapter(plan, adapter, base_sha256="b" * 64))


def test_an_adapter_for_another_architecture(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="gemma3", general__type="adapter")
    with pytest.raises(EngineError, match="for gemma3 models, the base is llama"):
        engines.check(with_adapter(plan, adapter))


def test_an_adapter_folder_needs_one_gguf(plan, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    with pytest.raises(InputError, match="has no GGUF file"):
        engines.check(with_adapter(plan, folder))


def test_a_model_is_no_adapter(plan):
    with pytest.raises(EngineError, match="a model, not an adapter"):
        engines.check(with_adapter(plan, plan.weights_path))
