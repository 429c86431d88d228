"""The folders vLLM serves, and those it cannot."""

import json

import msgspec
import pytest
from tests.engines.vllm.plans import mounted

from freehold import engines
from freehold.engines.vllm.weights import CacheShape, read_shape
from freehold.errors import EngineError, InputError, WeightsError

pytestmark = pytest.mark.usefixtures("installed")


def test_weights_of_the_wrong_kind(plan, tmp_path):
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(EngineError, match="reads safetensors") as caught:
        engines.check(msgspec.structs.replace(plan, weights_path=str(gguf)))
    assert "freehold serve base --engine vllm" in caught.value.hint
    with pytest.raises(EngineError, match="no weights are named"):
        engines.check(msgspec.structs.replace(plan, weights_path=None))
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"\xff" * 30)
    with pytest.raises(WeightsError, match="neither GGUF nor safetensors"):
        engines.check(plan)
    (tmp_path / "weights" / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="holds no safetensors"):
        engines.check(plan)


def test_an_adapter_trained_on_a_gguf_fits_what_was_converted_from_it(plan, adapter, tmp_path):
    record = {"source_sha256": "c" * 64, "source_path": "m.gguf", "quantization": "Q4_1", "version": "1"}
    (tmp_path / "weights" / "converted.json").write_text(json.dumps(record))
    engines.check(mounted(plan, adapter, base_sha256="c" * 64))
    with pytest.raises(EngineError, match="trained on weights"):
        engines.check(mounted(plan, adapter, base_sha256="d" * 64))


def test_the_shape_is_read_from_the_configuration(tmp_path, plan):
    # 30 layers · 3 heads · 64 numbers · keys and values · 2 bytes
    assert read_shape(tmp_path / "weights") == CacheShape(2048, 30 * 3 * 64 * 2 * 2)
    (tmp_path / "config.json").write_text("{}")
    assert read_shape(tmp_path) == CacheShape(None, None)


def test_adapters_that_cannot_be_served(plan, adapter):
    with pytest.raises(EngineError, match=f"{'b' * 64}.*{'a' * 64}"):
        engines.check(mounted(plan, adapter, base_sha256="b" * 64))
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 8, "use_dora": True}))
    with pytest.raises(EngineError, match="a DoRA adapter"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(EngineError, match="is IA3"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no adapter_model\.safetensors"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_config.json").unlink()
    with pytest.raises(InputError, match="no such file"):
        engines.check(mounted(plan, adapter))
