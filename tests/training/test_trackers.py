"""What trackers get is what the events say; nothing leaves the machine."""

import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold import training
from freehold.errors import MissingExtraError
from freehold.training import trackers
from freehold.types.config import FinetuneConfig
from freehold.types.training import TrainingEvent

EVENTS = [
    TrainingEvent(kind="start", steps=2),
    TrainingEvent(kind="step", step=1, steps=2, loss=0.5, learning_rate=1e-3, tokens=64, epoch=0.5),
    TrainingEvent(kind="eval", step=1, steps=2, loss=0.4, score=0.75),
    TrainingEvent(kind="step", step=2, steps=2, loss=0.25, learning_rate=5e-4, tokens=128, epoch=1.0),
    TrainingEvent(kind="end", step=2, steps=2, loss=0.25),
]


def job(tmp_path, tiny, *names):
    dataset = write_dataset(tmp_path / "data", task_samples(8))
    config = FinetuneConfig(trackers=names)
    return training.make(config=config, dataset=dataset, base=tiny, out_dir=tmp_path / "out", name="task")


def test_tensorboard_shows_the_curve(tmp_path, tiny):
    pytest.importorskip("tensorboard")
    made = job(tmp_path, tiny, "tensorboard")
    tell = trackers.start(made)
    for event in EVENTS:
        tell(event)
    tell.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    read = EventAccumulator(f"{made.run_dir}/tensorboard")
    read.Reload()

    def values(tag):
        return [
            (one.step, pytest.approx(float(tensor_util.make_ndarray(one.tensor_proto))))
            for one in read.Tensors(tag)
        ]

    assert values("train/loss") == [(1, 0.5), (2, 0.25)]
    assert values("validation/score") == [(1, 0.75)]


def test_numbers_are_those_of_steps_and_evaluations_only():
    named = [trackers.numbers_of(event) for event in EVENTS]
    assert named[0] == named[4] == {}
    assert named[1]["train/learning_rate"] == 1e-3
    assert named[2] == {"validation/loss": 0.4, "validation/score": 0.75}
    assert "train/tokens_per_second" not in named[1]  # not measured yet: not told


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="extra 'mlflow'"):
        trackers.start(job(tmp_path, tiny, "mlflow"))


def test_trackers_do_not_make_another_job(tmp_path, tiny):
    assert job(tmp_path, tiny).id == job(tmp_path, tiny, "tensorboard").id
