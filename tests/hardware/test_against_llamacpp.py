"""Predicted memory against what llama.cpp reports when it loads tiny models of several architectures."""

from importlib import import_module
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

pytest.importorskip("xllamacpp", reason="needs the extra 'local'")
pytest.importorskip("gguf", reason="needs the extra 'local'")


@pytest.mark.parametrize(
    ("name", "quantization", "context", "concurrency", "kv"),
    [
        ("llama", "Q4_K_M", 1024, 2, "q8_0"),
        ("gemma3", "F16", 4096, 1, "f16"),
        ("deepseek-v3", "F16", 2048, 1, "f16"),
        ("jamba", "Q4_0", 1024, 2, "f16"),
    ],
)
def test_load_report_is_met(monkeypatch, tmp_path, name, quantization, context, concurrency, kv):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    fit, tiny = import_module("fit"), import_module("tiny_models")
    path = tmp_path / f"{name}.gguf"
    tiny.write(tiny.SHAPES[name], quantization, path)
    row = fit.compare(name, path, context, concurrency, kv)
    assert abs(row.weights_error) < 0.005
    assert abs(row.cache_error) < 0.01
    assert abs(row.total_error) < 0.08
