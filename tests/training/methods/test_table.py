"""One suite for all methods: each learns, tells numbers, and goes on after a stop as if there had been none."""

import math

import msgspec
import pytest
from tests.training.methods.runs import CONFIG, Run

from freehold import training
from freehold.errors import TrainingError
from freehold.training.methods import table

pytestmark = pytest.mark.timeout(600)


CASES = {"lora": {}, "full": {"method": "full", "learning_rate": 0.005}}


@pytest.mark.parametrize("name", CASES)
def test_a_method_learns_and_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path, job, name):
    whole = Run(job, CASES[name], tmp_path / "whole")
    outcome = whole.go()
    first, last = (sum(loss for _, loss in part) / 3 for part in (outcome.curve[:3], outcome.curve[-3:]))
    assert last < 0.85 * first
    assert 0 < outcome.validation_loss < first
    assert 0 <= outcome.validation_score <= 1
    assert outcome.tokens > 0
    stopped = Run(job, CASES[name], tmp_path / "stopped")
    assert stopped.go(stop_at=4) is None
    again = stopped.go()
    assert stopped.events[0].step == 4
    assert stopped.weights == whole.weights
    assert again.curve == outcome.curve


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_a_method_learns_in_bf16_too(tmp_path, job, changes):
    outcome = Run(job, {**changes, "precision": "bf16"}, tmp_path).go()
    first, last = (sum(loss for _, loss in part) / 3 for part in (outcome.curve[:3], outcome.curve[-3:]))
    assert last < 0.9 * first


@pytest.mark.parametrize("name", CASES)
def test_activations_computed_again_give_the_same_run(tmp_path, job, name):
    changes = CASES[name]
    plain = Run(job, changes, tmp_path / "plain").go()
    again = Run(job, {**changes, "gradient_checkpointing": True}, tmp_path / "again").go()
    assert [loss for _, loss in again.curve] == pytest.approx([loss for _, loss in plain.curve], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "no training method 'magic'"),
        ({"learning_rate": math.inf}, "learning_rate is inf"),
        ({"seed": -5}, "seed is -5"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_loaded(changes, message):
    with pytest.raises(TrainingError, match=message):
        table.check(msgspec.structs.replace(CONFIG, **changes))


@pytest.mark.process
@pytest.mark.parametrize("name", ["lora", "full"])
def test_a_worker_leaves_a_whole_adapter(tmp_path, job, name):
    dataset = job.dataset
    config = msgspec.structs.replace(CONFIG, threads=1, **CASES[name])
    made = training.make(config=config, dataset=dataset, base=job.base, out_dir=tmp_path, name=name)
    events = list(training.train(made))
    assert events[-1].kind == "end"
    adapter = training.finished_adapter(made)
    assert ("model.safetensors" in adapter.files) == (name == "full")
    assert adapter.config.method == config.method
