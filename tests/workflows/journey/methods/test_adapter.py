"""What is served of a base with an adapter. The base is a tiny GGUF; training and parity are stood in for."""

from pathlib import Path

import pytest
from tests.workflows.journey.rehearsal import bench, candidate_of, quick_training, trained, training_project

from freehold.errors import EngineError
from freehold.types.training import Adapter
from freehold.workflows.journey.methods import METHODS
from freehold.workflows.journey.methods import adapter as method
from freehold.workflows.weights.pull import ensure_weights


def test_the_base_and_its_adapter_answer_under_two_names(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    asked = quick_training(monkeypatch)
    candidate = candidate_of(opened, "lora")
    with bench(opened) as ready:
        made = METHODS["lora"].make(candidate, ready)
    (mount,) = made.plan.adapters
    assert (made.plan.engine, made.plan.model) == ("llamacpp", candidate.model)
    assert (mount.name, Path(mount.path).name) == (f"{candidate.model}:inbox", "adapter.gguf")
    assert (mount.adapter_id, mount.base_sha256) == (made.trained.id, made.weights.sha256)
    assert made.plan.weights_path == made.weights.path and made.fit.fits
    assert made.untrained_model == candidate.model, "the base is asked as well, to show what training brought"
    assert (made.parity.passed, asked["parity"][0]["adapter_path"]) == (True, made.trained.path)


def test_an_adapter_without_a_gguf_says_how_to_get_one(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    candidate = candidate_of(opened, "lora")
    base = ensure_weights(candidate.model, opened.settings)
    result = trained(Adapter, tmp_path, "adapter_model.safetensors")
    with bench(opened) as ready, pytest.raises(EngineError, match="has no GGUF file") as caught:
        method.serving_plan(candidate, ready, base, result)
    assert "--fresh" in caught.value.hint
