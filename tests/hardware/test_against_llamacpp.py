"""Predicted memory against what llama.cpp reports when it loads tiny models of several architectures."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

pytest.importorskip("xllamacpp", reason="needs the extra 'local'")
pytest.importorskip("gguf", reason="needs the extra 'local'")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "quantization", "context", "concurrency", "kv"),
    [
        ("llama", "Q4_K_M", 1024, 2, "q8_0"),
        ("gemma3", "F16", 4096, 1, "f16"),
        ("deepseek-v3", "F16", 2048, 1, "f16"),
        ("jamba", "Q4_0", 1024, 2, "f16"),
    ],
)
def test_load_report_is_met(tmp_path, name, quantization, context, concurrency, kv):
    tiny = load("tiny_models")
    fit = load("fit")
    path = tmp_path / f"{name}.gguf"
    tiny.write(tiny.SHAPES[name], quantization, path)
    row = fit.compare(name, path, context, concurrency, kv)
    assert abs(row.weights_error) < 0.005
    assert abs(row.cache_error) < 0.01
    assert abs(row.total_error) < 0.08
