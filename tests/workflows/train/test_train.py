"""What `freehold train` refuses before it starts a trainer."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from tests.training.conftest import make_sample, task_samples, tiny, tokenizer, write_dataset
from tests.workflows.data.building import project_of

from freehold.cli.output import show
from freehold.cli.train import plan_view, preview_view
from freehold.errors import TrainingError, UsageError
from freehold.hardware.probes import probe_machine
from freehold.progress import Silent
from freehold.settings import load as load_settings
from freehold.store import open_store
from freehold.training import artefacts
from freehold.types.config import FinetuneConfig
from freehold.types.config_file import parse
from freehold.types.machine import MeasuredSpeed, Speed
from freehold.types.training import TrainingEvent
from freehold.workflows.fit import placing as training_fit
from freehold.workflows.project import Project
from freehold.workflows.train import train as training_workflow
from freehold.workflows.train import train as workflow
from freehold.workflows.train.plan import plan_run, preview_run

__all__ = ["tiny", "tokenizer"]


CONFIG = FinetuneConfig(r=4, batch_size=8, epochs=1.0)


@pytest.fixture
def refused(tmp_path, tiny, monkeypatch):
    def started(job):
        raise AssertionError("a trainer was started")

    monkeypatch.setattr(workflow.training, "train", started)

    def attempt(config, error):
        with pytest.raises(error) as caught:
            workflow.train(
                config=config, dataset=write_dataset(tmp_path / "data", task_samples(20)), base=tiny,
                out_dir=tmp_path / "out", name="x",
                settings=load_settings({"FREEHOLD_HOME": str(tmp_path / "home")}), progress=Silent(),
            )  # fmt: skip
        return caught.value

    return attempt


def test_a_base_that_does_not_fit_is_not_loaded(refused, tmp_path, monkeypatch):
    small = msgspec.structs.replace(
        probe_machine(tmp_path), accelerators=(), available_memory_bytes=100 << 20
    )
    monkeypatch.setattr(training_fit, "probe_machine", lambda home: small)
    error = refused(CONFIG, UsageError)
    assert "0.1 GiB are free" in error.message and "lora" in error.message
    assert "smaller base" in error.hint


def test_who_stops_a_run_is_told_that_it_goes_on(tmp_path, tiny, monkeypatch):
    ended, said = [], []

    def trainer(job):
        Path(job.run_dir).mkdir(parents=True)
        try:
            yield TrainingEvent(kind="start", message="20 samples")
        finally:  # as the worker does when it is asked to stop
            (Path(job.run_dir) / artefacts.FILE).write_bytes(b"state")
            ended.append(True)

    class Impatient(Silent):
        def say(self, text):
            said.append(text)
            if text == "20 samples":
                raise KeyboardInterrupt

    monkeypatch.setattr(workflow.training, "train", trainer)
    with pytest.raises(KeyboardInterrupt):
        workflow.train(
            config=CONFIG, dataset=write_dataset(tmp_path / "data", task_samples(20)), base=tiny,
            out_dir=tmp_path / "out", name="x",
            settings=load_settings({"FREEHOLD_HOME": str(tmp_path / "home")}), progress=Impatient(),
        )  # fmt: skip
    assert any("half a minute" in text for text in said)
    assert ended and said[-1] == "a checkpoint is written: the same command goes on from there"


def test_options_that_cannot_work_are_refused(refused):
    assert "epochs is -1.0" in refused(msgspec.structs.replace(CONFIG, epochs=-1.0), TrainingError).message


READS = '[[candidates]]\nmodel = "sentence-transformers/all-MiniLM-L6-v2"\nmethod = "encoder"\n'
LEARNS = '[[candidates]]\nmodel = "org/learns"\nmethod = "qlora"\ntrain = { r = 8 }\n'


def asked_for(project, monkeypatch, base=None):
    """The model whose weights are asked for."""
    asked = []

    def ensure(model, *_, **__):
        asked.append(model)
        raise UsageError("far enough")

    monkeypatch.setattr(workflow, "ensure_weights", ensure)
    monkeypatch.setattr(workflow, "find_dataset", lambda store, name: None)
    with pytest.raises(UsageError) as told:
        workflow.training_inputs(project, base=base, dataset=None, name=None, progress=Silent())
    return asked, told.value


def test_what_is_trained_is_the_first_candidate_that_learns_by_its_weights_with_its_own_options(
    tmp_path, monkeypatch
):
    project = project_of(tmp_path, '[app]\nname = "shop"\n[train]\nepochs = 7\n' + READS + LEARNS)
    assert asked_for(project, monkeypatch)[0] == ["org/learns"]
    options = workflow.options_for(project.config)
    assert (options.method, options.r, options.epochs) == ("qlora", 8, 7)
    assert workflow.options_for(project.config, "org/other") == project.config.train


def test_an_encoder_is_no_base_and_nothing_is_fetched(tmp_path, monkeypatch):
    project = project_of(tmp_path, '[app]\nname = "shop"\n' + READS)
    asked, told = asked_for(project, monkeypatch)
    assert asked == [] and "no candidate here writes text" in told.message and "--base" in told.hint
    asked, told = asked_for(project, monkeypatch, "sentence-transformers/all-MiniLM-L6-v2")
    assert asked == [] and "is a sentence encoder" in told.message


CONFIG_of_plan = FinetuneConfig(r=4, batch_size=8, epochs=2.0, learning_rate=1e-3)


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
    plan = plan_run(project, what, config=CONFIG_of_plan)
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
    plan = plan_run(project, what, config=CONFIG_of_plan)
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
    plan = plan_run(project, what, config=CONFIG_of_plan)
    assert plan.seconds == pytest.approx(plan.train_tokens / 100)
    assert "300 tokens/s" in plan.seconds_basis


def test_no_sample_that_can_be_trained_on_is_an_error_that_names_the_first(tmp_path, project, tiny):
    what = asked(tmp_path, tiny, [make_sample(n, "where is my lamp", " ") for n in range(5)])
    with pytest.raises(TrainingError, match="none of 5 samples looked at can be trained on") as error:
        plan_run(project, what, config=CONFIG_of_plan)
    assert "--preview" in error.value.hint
    seen = preview_run(project, what, config=CONFIG_of_plan, count=2)
    assert seen.samples == () and seen.train.left_out == {"empty_assistant": 5}
    assert "no sample can be shown" in printed(preview_view, seen)


def test_what_the_run_would_refuse_the_plan_refuses(tmp_path, project, tiny):
    what = asked(tmp_path, tiny, task_samples(50))
    with pytest.raises(TrainingError, match=r"rank r=64 is larger than the smallest adapted layer \(16\)"):
        plan_run(project, what, config=FinetuneConfig())
    few = asked(tmp_path / "few", tiny, task_samples(3))
    with pytest.raises(TrainingError, match="3 samples can be trained on, at least 4 are needed"):
        plan_run(project, few, config=CONFIG_of_plan)


def test_a_preview_marks_what_is_learned_and_reports_over_long_samples(tmp_path, project, tiny):
    what = asked(tmp_path, tiny, task_samples(6))
    text = printed(preview_view, preview_run(project, what, config=CONFIG_of_plan, count=1))
    assert "⟦order_status<|im_end|>⟧" in text and "6 can be trained on" in text
    samples = [*task_samples(6), make_sample(9, "where is my lamp " * 300, "order_status")]
    text = printed(
        preview_view, preview_run(project, asked(tmp_path, tiny, samples), config=CONFIG_of_plan, count=1)
    )
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
