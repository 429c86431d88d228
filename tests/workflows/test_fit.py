import json

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import UnknownModelError, UsageError
from freehold.settings import load
from freehold.types.machine import Workload
from freehold.workflows.fit import fit_model


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path)})


def test_catalog_model_without_weights(settings):
    found = fit_model("google/gemma-3-270m", workload=Workload(context_tokens=8192), settings=settings)
    parts = {part.name: part for part in found.parts}
    assert {"weights", "kv_cache", "compute", "engine"} <= set(parts)
    assert found.quantization == "Q4_K_M"
    assert found.total_bytes == sum(part.bytes for part in found.parts)
    again = fit_model("google/gemma-3-270m", workload=Workload(context_tokens=8192), settings=settings)
    assert again.parts == found.parts


def test_unknown_model_has_a_hint(settings):
    with pytest.raises(UnknownModelError) as caught:
        fit_model("google/gemma-3-271m", workload=Workload(), settings=settings)
    assert "google/gemma-3-270m" in caught.value.hint


def test_unknown_quantization_lists_those_known(settings):
    with pytest.raises(UsageError) as caught:
        fit_model("Gemma-3-270m-it", workload=Workload(), settings=settings, quantization="Q9_X")
    assert "Q4_K_M" in caught.value.hint


def test_command_prints_json_and_text(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    arguments = ["fit", "SmolLM2-135M-Instruct", "--context", "2048", "--concurrency", "2"]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["fits"] is True
    assert record["workload"]["concurrency"] == 2
    text = CliRunner().invoke(cli, arguments)
    assert text.exit_code == 0
    assert "GiB" in text.stdout
    assert "kv_cache" in text.stdout


def test_command_exits_1_when_it_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    result = CliRunner().invoke(cli, ["fit", "SmolLM2-135M-Instruct", "--context", "99999"])
    assert result.exit_code == 1
    assert "does not fit" in result.stdout
