"""Weights in another quantization, made here by llama.cpp's program."""

from pathlib import Path

import pytest
from tests.workflows.weights.programs import quantize_program

from benchmarks import tiny_models
from freehold.engines.weights import local
from freehold.engines.weights.store import WeightsStore
from freehold.errors import EngineError, UnknownModelError, UsageError
from freehold.workflows.weights.quantize import make, widest

pytestmark = pytest.mark.process


@pytest.fixture
def program(settings, tmp_path):
    return quantize_program(tmp_path, settings.home, fails="broken")


def test_a_smaller_one_is_made_here_and_kept_in_the_store(settings, program, tmp_path):
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    made = make(str(path), "q8_0", settings)
    assert made.quantization == "Q8_0"
    assert Path(made.path).parent == WeightsStore(settings.home).folder("tiny")
    store = WeightsStore(settings.home)
    stored = store.find("tiny", "Q8_0")
    assert stored.weights.source.startswith("made:Q8_0 from ")
    assert stored.origin.startswith("quantized here from F16")
    assert make("tiny", "Q8_0", settings).sha256 == made.sha256  # it is there already
    with pytest.raises(UsageError, match="is not smaller"):
        make("tiny", "BF16", settings)
    with store.writing():
        pulled = local.describe(path, "tiny", f"file:{path}")
        store.record(pulled, owned=False)
    assert store.find("tiny").weights == pulled, "the bare name means what was pulled"
    assert widest("tiny", store) == pulled
    with pytest.raises(UnknownModelError, match="no GGUF of nobody"):
        make("nobody", "Q8_0", settings)


def test_a_program_that_fails_leaves_nothing(settings, program, tmp_path):
    path = tmp_path / "broken.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    with pytest.raises(EngineError, match="it ended with 3: cannot read it"):
        make(str(path), "Q8_0", settings)
    assert WeightsStore(settings.home).list() == []


def test_without_the_program_it_says_how_to_get_it(settings, tmp_path):
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    with pytest.raises(EngineError, match="not built here") as caught:
        make(str(path), "Q8_0", settings)
    assert "engines install llamacpp" in caught.value.hint
