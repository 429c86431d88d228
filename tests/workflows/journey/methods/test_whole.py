"""What is served of a base whose weights were all trained. Training and parity are stood in for."""

from pathlib import Path

from tests.workflows.journey.rehearsal import bench, candidate_of, quick_training, training_project

from freehold.types.training import WholeModel
from freehold.workflows.journey.methods import METHODS


def test_the_trained_weights_are_served_under_an_adapters_name(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch, train='method = "full"\n')
    asked = quick_training(monkeypatch)
    candidate = candidate_of(opened, "full")
    with bench(opened) as ready:
        made = METHODS["full"].make(candidate, ready)
        assert ready.store.latest(WholeModel) == made.trained
    assert made.plan.model == f"{candidate.model}:inbox"
    assert made.plan.weights_path == str(Path(made.trained.path) / "model.gguf") != made.weights.path
    assert made.plan.weights_sha256 == made.trained.files["model.gguf"]
    assert (made.plan.adapters, made.untrained_model) == ((), None), "the base is not there to be asked"
    assert asked["parity"][0]["plan"].model == made.plan.model
    assert made.parity.passed
