"""What `freehold train` refuses before it starts a trainer."""

from pathlib import Path

import msgspec
import pytest
from tests.training.conftest import task_samples, tiny, tokenizer, write_dataset
from tests.workflows.data.building import project_of

from freehold.errors import TrainingError, UsageError
from freehold.hardware.probes import probe_machine
from freehold.progress import Silent
from freehold.settings import load as load_settings
from freehold.training import checkpoint
from freehold.types.config import FinetuneConfig
from freehold.types.training import TrainingEvent
from freehold.workflows.fit import placing as training_fit
from freehold.workflows.train import train as workflow

__all__ = ["tiny", "tokenizer"]  # fixtures
CONFIG = FinetuneConfig(r=4, batch_size=8, epochs=1.0)


@pytest.fixture
def refused(tmp_path, tiny, monkeypatch):
    def started(job):
        raise AssertionError("a trainer was started")

    monkeypatch.setattr(workflow.training, "train", started)

    def attempt(config, error):
        with pytest.raises(error) as caught:
            workflow.train(
                config=config,
                dataset=write_dataset(tmp_path / "data", task_samples(20)),
                base=tiny,
                out_dir=tmp_path / "out",
                name="x",
                settings=load_settings({"FREEHOLD_HOME": str(tmp_path / "home")}),
                progress=Silent(),
            )
        return caught.value

    return attempt


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_base_that_does_not_fit_is_not_loaded(refused, tmp_path, monkeypatch, method):
    small = msgspec.structs.replace(
        probe_machine(tmp_path), accelerators=(), available_memory_bytes=100 << 20
    )
    monkeypatch.setattr(training_fit, "probe_machine", lambda home: small)
    error = refused(msgspec.structs.replace(CONFIG, method=method), UsageError)
    assert "0.1 GiB are free" in error.message and method in error.message
    assert "smaller base" in error.hint


def test_who_stops_a_run_is_told_that_it_goes_on(tmp_path, tiny, monkeypatch):
    ended, said = [], []

    def trainer(job):
        Path(job.run_dir).mkdir(parents=True)
        try:
            yield TrainingEvent(kind="start", message="20 samples")
        finally:  # as the worker does when it is asked to stop
            (Path(job.run_dir) / checkpoint.FILE).write_bytes(b"state")
            ended.append(True)

    class Impatient(Silent):
        def say(self, text):
            said.append(text)
            if text == "20 samples":
                raise KeyboardInterrupt

    monkeypatch.setattr(workflow.training, "train", trainer)
    with pytest.raises(KeyboardInterrupt):
        workflow.train(
            config=CONFIG,
            dataset=write_dataset(tmp_path / "data", task_samples(20)),
            base=tiny,
            out_dir=tmp_path / "out",
            name="x",
            settings=load_settings({"FREEHOLD_HOME": str(tmp_path / "home")}),
            progress=Impatient(),
        )
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
