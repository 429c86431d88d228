"""Weights made from others: converted, quantized."""

from pathlib import Path

import msgspec
import pytest
from tests.workflows.weights.programs import quantize_program

from freehold.engines.weights import local
from freehold.engines.weights.convert import source_of
from freehold.errors import EngineError, UnknownModelError, UsageError, WeightsError
from freehold.workflows.weights import made as workflow
from freehold.workflows.weights.pull import list_weights


@pytest.fixture
def gguf(tmp_path, tiny_gguf):
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_gguf(file_type=7))
    return local.describe(path, "org/m", f"file:{path}")


@pytest.fixture
def conversions(monkeypatch, tiny_safetensors):
    """The conversions that were made; each writes a tiny folder."""
    made = []

    def convert(job):
        made.append(job)
        Path(job.target).mkdir(parents=True)
        (Path(job.target) / "model.safetensors").write_bytes(tiny_safetensors())
        (Path(job.target) / "config.json").write_text("{}")

    monkeypatch.setattr(workflow, "convert", convert)
    return made


def test_it_is_converted_once_and_known_by_its_source(gguf, settings, conversions):
    found = workflow.to_safetensors(gguf, settings)
    assert (found.format, found.quantization, found.model_id) == ("safetensors", "BF16", "org/m")
    assert workflow.to_safetensors(gguf, settings) == found
    assert len(conversions) == 1 and conversions[0].source == gguf.path
    (stored,) = list_weights(settings)
    assert stored.owned and stored.converted_from == gguf.sha256
    assert f"Q8_0 weights with sha256 {gguf.sha256}" in stored.origin
    assert source_of(found.path) == gguf.sha256


def test_safetensors_stay_as_they_are_and_weights_elsewhere_are_not_converted(gguf, settings, conversions):
    already = msgspec.structs.replace(gguf, format="safetensors")
    assert workflow.to_safetensors(already, settings) is already
    with pytest.raises(UsageError, match="are not here") as caught:
        workflow.to_safetensors(msgspec.structs.replace(gguf, path=None), settings)
    assert caught.value.hint == "freehold models pull org/m"
    assert conversions == []


def test_a_conversion_that_fails_leaves_nothing(gguf, settings, monkeypatch):
    def convert(job):
        Path(job.target).mkdir(parents=True)
        raise WeightsError("cannot be converted")

    monkeypatch.setattr(workflow, "convert", convert)
    with pytest.raises(WeightsError):
        workflow.to_safetensors(gguf, settings)
    assert list_weights(settings) == []
    assert not list((settings.home / "weights").rglob("safetensors-*"))


@pytest.fixture
def program(settings, tmp_path):
    return quantize_program(tmp_path, settings.home, fails="broken")


@pytest.mark.process
def test_a_smaller_one_is_made_here_and_kept_in_the_store(settings, program, tmp_path):
    from benchmarks import tiny_models
    from freehold.engines.weights import local
    from freehold.engines.weights.store import WeightsStore
    from freehold.workflows.weights.made import make_quantization, widest

    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    made = make_quantization(str(path), "q8_0", settings)
    assert made.quantization == "Q8_0"
    assert Path(made.path).parent == WeightsStore(settings.home).folder("tiny")
    store = WeightsStore(settings.home)
    stored = store.find("tiny", "Q8_0")
    assert stored.weights.source.startswith("made:Q8_0 from ")
    assert stored.origin.startswith("quantized here from F16")
    assert make_quantization("tiny", "Q8_0", settings).sha256 == made.sha256  # it is there already
    with pytest.raises(UsageError, match="is not smaller"):
        make_quantization("tiny", "BF16", settings)
    with store.writing():
        pulled = local.describe(path, "tiny", f"file:{path}")
        store.record(pulled, owned=False)
    assert store.find("tiny").weights == pulled, "the bare name means what was pulled"
    assert widest("tiny", store) == pulled
    with pytest.raises(UnknownModelError, match="no GGUF of nobody"):
        make_quantization("nobody", "Q8_0", settings)


@pytest.mark.process
def test_a_program_that_fails_leaves_nothing(settings, program, tmp_path):
    from benchmarks import tiny_models
    from freehold.engines.weights.store import WeightsStore
    from freehold.workflows.weights.made import make_quantization

    path = tmp_path / "broken.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    with pytest.raises(EngineError, match="it ended with 3: cannot read it"):
        make_quantization(str(path), "Q8_0", settings)
    assert WeightsStore(settings.home).list() == []


@pytest.mark.process
def test_without_the_program_it_says_how_to_get_it(settings, tmp_path):
    from benchmarks import tiny_models
    from freehold.workflows.weights.made import make_quantization

    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    with pytest.raises(EngineError, match="not built here") as caught:
        make_quantization(str(path), "Q8_0", settings)
    assert "engines install llamacpp" in caught.value.hint
