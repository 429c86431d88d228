"""Tuning: which way is taken, and that serving uses it. The engine is pretended."""

import pytest

from freehold.engines.llamacpp import tuning
from freehold.engines.llamacpp.measure import RequestSize
from freehold.engines.llamacpp.native import StreamSpeed
from freehold.engines.weights.check import sha256_of
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UsageError
from freehold.settings import load
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.model import Weights
from freehold.types.progress import Silent
from freehold.workflows.project import Project
from freehold.workflows.serve import engines as tuner
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan

MODEL = "org/tiny"


@pytest.fixture
def project(tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path / "home"), "FREEHOLD_THREADS": "2"})
    store = WeightsStore(settings.home)
    path = store.folder(MODEL) / "Q4_1.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF")
    weights = Weights(
        model_id=MODEL, format="gguf", quantization="Q4_1", bytes=4, sha256=sha256_of(path), source="file:x",
        path=str(path),
    )  # fmt: skip
    store.record(weights, owned=True)
    return Project(
        root=tmp_path, config=ProjectConfig(app=AppConfig(name="t")), settings=settings, config_path=None
    )


@pytest.fixture
def gains(monkeypatch):
    """How many times as fast each option makes reading."""
    factors = {"micro_batch 1024": 1.5, "flash_attention off": 1.02}

    async def measure(plan, **_):
        factor = 0.6 if plan.threads == 1 else 1.0
        for name, value in plan.options.items():
            factor *= factors.get(f"{name} {value}", 1.0)
        return StreamSpeed(prompt_tokens_per_second=1000 * factor, completion_tokens_per_second=200)

    monkeypatch.setattr(tuner, "measure", measure)
    return factors


def tune(project, size=(400, 48)):
    return tuner.tune(project, MODEL, RequestSize(*size), progress=Silent())


def test_the_fastest_of_a_handful_is_kept(project, gains):
    found = tune(project)
    assert found.settings.options == {"micro_batch": 1024} and found.settings.threads == 2
    assert [trial.taken for trial in found.trials].count(True) == 1
    assert found.speedup > 1.2


def test_what_is_hardly_faster_is_noise(project, gains):
    del gains["micro_batch 1024"]
    found = tune(project)
    assert found.settings.options == {} and found.speedup == 1.0


def test_serving_uses_what_was_found_where_nothing_else_is_asked(project, gains):
    gains["flash_attention off"] = 3.0
    found = tune(project)
    plan = pull_and_plan(MODEL, ServeRequest(), project.settings)
    assert plan.options == found.settings.options == {"flash_attention": "off"} and plan.threads == 2
    mine = pull_and_plan(MODEL, ServeRequest(options={"flash_attention": "on"}), project.settings)
    assert mine.options == {"flash_attention": "on"}
    other_cache = pull_and_plan(MODEL, ServeRequest(kv_type="q8_0"), project.settings)
    assert other_cache.options == {}, "found for another cache"
    assert pull_and_plan(MODEL, ServeRequest(tuned=False), project.settings).options == {}


def test_only_gguf_and_sound_sizes(project, gains):
    with pytest.raises(UsageError, match="at least 1"):
        tune(project, size=(0, 48))
    with pytest.raises(UsageError, match="does not run on llama"):
        tuner.tune(project, "echo", progress=Silent())


def test_the_id_follows_machine_and_model(monkeypatch):
    here = tuning.tuning_id("Org/M", cores=2)
    assert here == tuning.tuning_id("org/m", cores=2) != tuning.tuning_id("org/m", cores=4)
    monkeypatch.setattr(tuning, "cpu_name", lambda: "another")
    assert tuning.tuning_id("org/m", cores=2) != here
