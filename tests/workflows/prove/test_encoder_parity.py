"""An encoder as it was trained and as it is served: both sides for real, PyTorch and ONNX Runtime."""

import json
from pathlib import Path

import msgspec
import pytest
from safetensors.numpy import load, save

pytest.importorskip("sentence_transformers")
pytest.importorskip("sklearn")

from tests.training.encoder.conftest import base_at, json_samples, write_dataset

from freehold.errors import WeightsError
from freehold.progress import Silent
from freehold.store import open_store
from freehold.training import encoder as training
from freehold.training.encoder.job import ANSWERS
from freehold.training.encoder.worker import run_job
from freehold.types.encoder import EncoderConfig
from freehold.types.gates import ParityReport
from freehold.workflows.project import open_project
from freehold.workflows.prove.encoder_parity import encoder_parity
from freehold.workflows.serve.encoder import plan_encoder

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_THREADS", "1")
    return open_project()


def trained(project, base, samples):
    dataset = write_dataset(project.root / "data", samples[:60], samples[60:105])
    job = training.make(
        config=EncoderConfig(stage="tuned"),
        threads=1,
        dataset=dataset,
        base=base,
        out_dir=project.state / "encoders",
        name="shop",
    )
    assert run_job(job, lambda event: None, lambda: False)
    return training.finished(job)


def report_of(project, encoder, most):
    plan = plan_encoder(Path(encoder.path), "shop", project.settings)
    return encoder_parity(project, plan=plan, encoder=encoder, progress=Silent(), most=most)


@pytest.mark.process
def test_what_is_served_is_what_was_trained_and_another_prefix_is_found(project, tmp_path):
    base = base_at(tmp_path / "base")
    encoder = trained(project, base, json_samples(105))
    report = report_of(project, encoder, 40)
    assert report.passed, report.reasons
    assert report.token_agreement == 1 and report.prompts == report.prompts_equal == 40
    assert report.probability_distance < 1e-4
    with open_store(project.store_url) as store:
        assert store.latest(ParityReport) == report

    manifest = Path(encoder.path) / "encoder.json"
    other = json.loads(manifest.read_text())
    other["prefix"] = "query: "
    manifest.write_text(json.dumps(other))
    failed = report_of(project, encoder, 12)
    assert failed.causes == ("template",) and not failed.passed
    assert msgspec.to_builtins(failed)["engine"] == "encoder"

    del other["prefix"]
    manifest.write_text(json.dumps(other))
    heads = Path(encoder.path) / "heads.safetensors"
    heads.write_bytes(save({name: -one for name, one in load(heads.read_bytes()).items()}))
    assert report_of(project, encoder, 12).causes == ("numbers",)
    (Path(encoder.path) / ANSWERS).unlink()
    with pytest.raises(WeightsError, match="there is nothing to compare with"):
        report_of(project, encoder, 12)
