"""`freehold train --preview` and `--dry-run` on a tiny model: they say what the run then does, and train nothing."""

import json

import pytest
from click.testing import CliRunner
from tests.training.conftest import make_sample, task_samples, tiny, tokenizer, write_dataset

from freehold.cli.output import show
from freehold.cli.train import plan_view, preview_view
from freehold.errors import TrainingError
from freehold.settings import load as load_settings
from freehold.store import open_store
from freehold.types.config import FinetuneConfig, parse
from freehold.types.machine import MeasuredSpeed, Speed
from freehold.workflows.project import Project
from freehold.workflows.train import train as training_workflow
from freehold.workflows.train.plan import plan_run, preview_run

__all__ = ["tiny", "tokenizer"]  # fixtures
CONFIG = FinetuneConfig(r=4, batch_size=8, epochs=2.0, learning_rate=1e-3)


@pytest.fixture
def project(tmp_path):
    settings = load_settings({"FREEHOLD_HOME": str(tmp_path / "home")})
    return Project(tmp_path, parse('[app]\nname = "shop"\n[train]\nr = 4\nbatch_size = 4'), settings, None)


def asked(tmp_path, base, samples):
    return training_workflow.TrainingInputs(write_dataset(tmp_path / "data", samples), base, "shop")


def printed(view, record):
    import click

    @click.command()
    def command():
        show(view(record))

    result = CliRunner().invoke(command)
    assert result.exit_code == 0, result.output
    return result.output


def test_plan_counts_the_steps_that_are_then_made(tmp_path, project, tiny, monkeypatch):
    monkeypatch.setattr("freehold.workflows.train.plan.PACK_TOKENS", 128)
    what = asked(tmp_path, tiny, task_samples(50))
    plan = plan_run(project, what, config=CONFIG)
    assert plan.steps == 14 and plan.train.usable == 50
    assert plan.samples_at_once * plan.parts_per_step >= 8 > plan.samples_at_once
    assert plan.fit.training == "lora" and plan.fit.fits and plan.fit.total_bytes > 0
    assert not plan.done and not plan.resumes
    assert plan.seconds is None and "nothing was measured" in plan.seconds_basis
    assert not (project.state / "adapters").exists()
    text = printed(plan_view, plan)
    assert "14: 2 passes" in text and "parts whose gradients are added up" in text
    assert "not known: nothing was measured" in text


def test_time_is_told_from_what_was_measured(tmp_path, project, tiny):
    what = asked(tmp_path, tiny, task_samples(50))
    plan = plan_run(project, what, config=CONFIG)
    speed = Speed(
        prefill_tokens_per_second=(300.0, 400.0), decode_tokens_per_second=(1.0, 1.0),
        decode_all_tokens_per_second=(1.0, 1.0), concurrency=1, how="measured", basis="x",
    )  # fmt: skip
    made = MeasuredSpeed(
        id="1", model=tiny.model_id, engine="llamacpp", weights_sha256=None, machine=plan.fit.machine,
        prompt_tokens=64, completion_tokens=64, speed=speed,
    )  # fmt: skip
    with open_store(project.store_url) as store:
        store.put(made)
    plan = plan_run(project, what, config=CONFIG)
    assert plan.seconds == pytest.approx(plan.train_tokens / 100)
    assert "300 tokens/s" in plan.seconds_basis


def test_no_sample_that_can_be_trained_on_is_an_error_that_names_the_first(tmp_path, project, tiny):
    what = asked(tmp_path, tiny, [make_sample(n, "where is my lamp", " ") for n in range(5)])
    with pytest.raises(TrainingError, match="none of 5 samples looked at can be trained on") as error:
        plan_run(project, what, config=CONFIG)
    assert "--preview" in error.value.hint
    seen = preview_run(project, what, config=CONFIG, count=2)
    assert seen.samples == () and seen.train.left_out == {"empty_assistant": 5}
    assert "no sample can be shown" in printed(preview_view, seen)


def test_what_the_run_would_refuse_the_plan_refuses(tmp_path, project, tiny):
    what = asked(tmp_path, tiny, task_samples(50))
    with pytest.raises(TrainingError, match=r"rank r=64 is larger than the smallest adapted layer \(16\)"):
        plan_run(project, what, config=FinetuneConfig())
    assert plan_run(project, what, config=FinetuneConfig(method="full")).steps > 0  # which has no rank
    few = asked(tmp_path / "few", tiny, task_samples(3))
    with pytest.raises(TrainingError, match="3 samples can be trained on, at least 4 are needed"):
        plan_run(project, few, config=CONFIG)


def test_tokens_are_those_of_the_samples_even_where_the_last_batch_is_small(tmp_path, project, tiny):
    plan = plan_run(project, asked(tmp_path, tiny, task_samples(9)), config=CONFIG)
    assert plan.steps == 4
    assert plan.train_tokens == 2 * plan.train.tokens


def test_preview_marks_what_is_learned_without_colour_too(tmp_path, project, tiny):
    what = asked(tmp_path, tiny, task_samples(6))
    text = printed(preview_view, preview_run(project, what, config=CONFIG, count=1))
    assert "⟦order_status<|im_end|>⟧" in text and "6 can be trained on" in text


def test_over_long_samples_are_reported_with_their_number(tmp_path, project, tiny):
    samples = [*task_samples(6), make_sample(9, "where is my lamp " * 300, "order_status")]
    text = printed(preview_view, preview_run(project, asked(tmp_path, tiny, samples), config=CONFIG, count=1))
    assert "1 over_long (over max_tokens = 1,024, the longest has" in text


def test_the_command_prints_json_and_trains_nothing(tmp_path, project, tiny, monkeypatch):
    from freehold.cli.train import train
    from freehold.workflows import project as projects

    what = asked(tmp_path, tiny, task_samples(12))
    monkeypatch.setattr(projects, "open_project", lambda *_, **__: project)
    monkeypatch.setattr(training_workflow, "training_inputs", lambda *_, **__: what)
    result = CliRunner().invoke(train, ["--dry-run", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["config"]["batch_size"] == 4
    assert not (project.state / "adapters").exists()
