import pytest
from click.testing import CliRunner
from tests.workflows.prove.held_out import make_dataset
from tests.workflows.weights.programs import quantize_program

from benchmarks import tiny_models
from freehold.cli.main import cli
from freehold.errors import EngineError
from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Task
from freehold.workflows.project import open_project
from freehold.workflows.prove import quantizations
from freehold.workflows.prove.quantizations import latest, measure

COUNT = 240
WRONG = {"Q5_K_M": 2, "Q4_K_M": 60}
"""Of `COUNT` samples, how many a quantization gets wrong."""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a dataset, an F16 GGUF, a stand-in for llama-quantize, and echo engines that answer for it."""
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    made = open_project(None)
    samples = [
        Sample(id=f"s{i:04}", messages=(Message(role="user", content=f"q {i}"),), gold="yes")
        for i in range(COUNT)
    ]
    dataset = make_dataset(made.state, samples[:1], validation=samples)
    with open_store(made.store_url) as store:
        store.put(dataset)

    def plan_of(project, weights):
        wrong = WRONG.get(weights.quantization, 0)
        return ServePlan(
            engine="echo",
            model=weights.model_id,
            parallel=8,
            options={
                "in_process": True,
                "answers": {f"q {i}": "no" for i in range(wrong)},
                "default": "yes",
            },
        )

    monkeypatch.setattr(quantizations, "plan_of", plan_of)
    return made


@pytest.fixture
def program(project, tmp_path):
    return quantize_program(tmp_path, project.settings.home, fails="Q6_K")


@pytest.fixture
def weights(project, tmp_path):
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    return str(path)


def task(margin: float = 0.05) -> Task:
    return Task(name="t", scorer="label", margin=margin)


@pytest.mark.process
def test_the_smallest_that_is_not_worse_is_taken_and_what_follows_is_not_tried(project, program, weights):
    found = measure(project, weights, task=task())
    assert [(row.quantization, row.outcome) for row in found.rows] == [
        ("F16", "reference"), ("Q8_0", "not_worse"), ("Q5_K_M", "not_worse"), ("Q4_K_M", "worse"),
    ]  # fmt: skip
    assert found.take == "Q5_K_M"
    assert found.rows[2].mean == pytest.approx(1 - WRONG["Q5_K_M"] / COUNT)
    assert found.rows[3].comparison.a_only == WRONG["Q4_K_M"]
    assert found.skipped[0][0] == "Q6_K"
    assert "needs a calibration" in found.skipped[0][1]
    assert "Q4_K_M is worse, so nothing smaller was tried" in found.reasons
    assert latest(project, "tiny") == found


@pytest.mark.process
def test_too_few_samples_prove_nothing_and_it_says_how_many_would(project, program, weights):
    found = measure(project, weights, task=task(), limit=20, quantizations=("Q4_0",))
    assert found.take == "F16"
    assert found.rows[-1].outcome == "not_proven"
    assert any("samples would show it, there are 20" in reason for reason in found.reasons)


def test_weights_that_get_nothing_right_have_nothing_to_lose(project, program, weights, monkeypatch):
    monkeypatch.setitem(WRONG, "F16", COUNT)
    found = measure(project, weights, task=task())
    assert [row.quantization for row in found.rows] == ["F16"]
    assert "got nothing right" in found.reasons[0]


@pytest.mark.process
def test_what_was_measured_decides_from_then_on(project, program, weights, tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "t"\n[task]\nmargin = 0.05\n')
    result = CliRunner().invoke(cli, ["fit", weights, "--measure", "answers"])
    assert result.exit_code == 0, result.output
    assert "take Q5_K_M" in result.stdout
    assert "compared with this one" in result.stdout
    listed = CliRunner().invoke(cli, ["fit", weights, "--quants"])
    assert "take Q5_K_M" in listed.stdout
    assert "0.992, not worse" in listed.stdout
    assert "on your task" in listed.stdout


def test_without_the_program_only_what_is_here_is_compared(project, weights):
    with pytest.raises(EngineError, match="no smaller weights of tiny are here"):
        measure(project, weights, task=task())
