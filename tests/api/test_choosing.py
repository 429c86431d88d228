"""Questions to a project: its own use, incumbent and traces count."""

import pytest

import freehold
from freehold.errors import UsageError


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4-0613"\n'
        '[use]\nmode = "distribute_weights"\ncommercial = true\n'
    )
    return freehold.Project.load(tmp_path)


def test_the_projects_use_counts_unless_another_is_said(project):
    assert project.license("google/gemma-3-270m").outcome == "allowed_with_obligations"
    said = project.license(
        "HuggingFaceTB/SmolLM2-135M-Instruct", use={"mode": "internal", "commercial": True}
    )
    assert said.outcome == "allowed"


def test_the_projects_incumbent_counts_unless_models_are_named(project):
    assert {one.model for one in project.retirements()} == {"gpt-4-0613"}
    assert {one.model for one in project.retirements("gpt-4o-2024-05-13")} == {"gpt-4o-2024-05-13"}
    priced = project.cost(
        "Qwen/Qwen3-8B", machine="L4", requests_per_month="1_000_000", prompt_tokens=500, completion_tokens=50
    )
    assert priced.bill.model == "gpt-4-0613"
    with pytest.raises(UsageError, match=r"traffic|traces"):
        project.cost("Qwen/Qwen3-8B", machine="L4")


def test_models_are_ranked_and_quantizations_chosen(project):
    found = project.assess("google/gemma-3-270m", machine="L4")
    assert [row.model for row in found.rows] == ["google/gemma-3-270m"]
    quants = project.quantizations("google/gemma-3-270m", machine="L4")
    assert quants.take in {row.quantization for row in quants.rows}


def test_nothing_is_left_behind_by_a_question(project):
    project.license("google/gemma-3-270m")
    project.assess("google/gemma-3-270m", machine="L4")
    assert not (project.root / ".freehold").exists()
