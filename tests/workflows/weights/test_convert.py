"""A GGUF's numbers as safetensors in the store: made once, found again, and nothing left when it fails."""

from pathlib import Path

import msgspec
import pytest

from freehold.engines.weights import local
from freehold.engines.weights.convert import source_of
from freehold.errors import UsageError, WeightsError
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
    assert caught.value.hint == "freehold pull org/m"
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
