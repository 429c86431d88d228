"""The loop over a trainer without a model: what it tells, when it ends, where it goes on."""

import errno
import os
from types import SimpleNamespace

import pytest
import torch

from freehold.errors import StorageError, TrainingError
from freehold.training import artefacts, loop, schedule
from freehold.training.formatting import Encoded
from freehold.training.trainer import ValidationResult
from freehold.types.config import FinetuneConfig

SAMPLES = [Encoded(f"s{n}", (1, 2, 3), (False, True, True)) for n in range(8)]
CONFIG = FinetuneConfig(batch_size=4, epochs=3, learning_rate=0.1)


class CountingTrainer:
    """Counts its steps in its one weight; its loss falls by a tenth a step."""

    trained = "weights of a test"
    pack_tokens = 4096
    like_lengths = keeps_best = False
    checkpoint_steps = 50
    rates = schedule.COSINE

    def __init__(self, config=CONFIG, validations=()):
        self.config, self.model = config, None
        self.base = SimpleNamespace(dtype=torch.float32)
        self.parameters = SimpleNamespace(flat=torch.nn.Parameter(torch.zeros(1)))
        self.validations = list(validations)
        self.recomputes = False

    def step(self, samples, rate):
        self.parameters.flat.data.add_(1)
        made = float(self.parameters.flat.item())
        return 1 - made / 10, sum(len(sample.ids) for sample in samples)

    def evaluate(self, samples):
        return self.validations.pop(0)

    def tensors(self):
        return {"adapter": self.parameters.flat}

    def restore(self, tensors):
        self.parameters.flat.data.copy_(tensors["adapter"])

    def recompute(self):
        before, self.recomputes = self.recomputes, True
        return not before


def run(folder, trainer, *, validation=(), stop_after=None):
    folder.mkdir(exist_ok=True)
    events = []

    def should_stop():
        return stop_after is not None and sum(event.kind == "step" for event in events) >= stop_after

    outcome = loop.train(
        trainer, SAMPLES, validation, job="j", folder=folder, emit=events.append, peak_memory=lambda: 7,
        should_stop=should_stop,
    )  # fmt: skip
    return outcome, events


def test_a_run_tells_each_step_and_sums_up(tmp_path):
    outcome, events = run(tmp_path, CountingTrainer())
    assert [event.kind for event in events] == ["start", *["step"] * 6, "checkpoint"]
    assert events[0].message == "8 samples, 1 weights of a test, in float32"
    steps = events[1:7]
    assert [event.epoch for event in steps] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert [event.tokens for event in steps] == [12, 24, 36, 48, 60, 72]
    assert {event.peak_memory_bytes for event in steps} == {7}
    assert [event.tokens_per_second is None for event in steps] == [True] * 4 + [False] * 2
    assert steps[-1].seconds_left == 0
    assert (outcome.steps, outcome.tokens) == (6, 72)
    assert outcome.final_loss == pytest.approx((0.5 + 0.4) / 2)  # of the last epoch
    assert outcome.validation_loss is None


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    assert run(tmp_path, CountingTrainer(), stop_after=2)[0] is None
    assert artefacts.load(tmp_path, "j").position.step == 2
    trainer = CountingTrainer()
    outcome, events = run(tmp_path, trainer)
    assert events[0].message.endswith(", resumed at step 2")
    assert [event.step for event in events if event.kind == "step"] == [3, 4, 5, 6]
    assert trainer.parameters.flat.item() == 6
    assert outcome.curve == run(tmp_path / "straight", CountingTrainer())[0].curve


@pytest.mark.parametrize(("keeps_best", "left"), [(True, (2, 0.5, 0.9)), (False, (4, 0.6, 0.8))])
def test_a_run_ends_with_its_last_weights_or_its_best(tmp_path, keeps_best, left):
    config = FinetuneConfig(batch_size=4, epochs=2, learning_rate=0.1)
    trainer = CountingTrainer(config, [ValidationResult(0.5, 0.9), ValidationResult(0.6, 0.8)])
    trainer.keeps_best = keeps_best
    outcome, events = run(tmp_path, trainer, validation=SAMPLES[:2])
    weights = trainer.parameters.flat.item()
    assert outcome.steps == 4 and (weights, outcome.validation_loss, outcome.validation_score) == left
    first = next(e for e in events if e.kind == "eval")
    assert "90.0% of 2 validation samples right" in first.message


def test_memory_that_runs_out_in_a_step_is_warned_of_and_survived(tmp_path):
    class Hungry(CountingTrainer):
        def step(self, samples, rate):
            if not self.recomputes:
                raise MemoryError
            return super().step(samples, rate)

    outcome, events = run(tmp_path, Hungry())
    assert outcome.steps == 6
    assert [event.kind for event in events[1:5]] == ["warning"] * 3 + ["step"]
    assert "computed again" in events[3].message


def test_a_run_without_a_step_is_an_error(tmp_path):
    position = artefacts.Position(job="j", step=6, steps=6, tokens=0, seconds=0.0)
    artefacts.save(tmp_path, position, {"adapter": torch.zeros(1)})
    with pytest.raises(TrainingError, match="made no step"):
        run(tmp_path, CountingTrainer())


def test_the_time_of_validations_is_counted_and_is_not_a_steps(tmp_path, monkeypatch):
    """A clock that the trainer moves: a step takes 10 s, a validation 30 s."""
    clock = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])

    class Timed(CountingTrainer):
        def step(self, samples, rate):
            clock[0] += 10
            return super().step(samples, rate)

        def evaluate(self, samples):
            clock[0] += 30
            return super().evaluate(samples)

    # 8 samples by 4: two steps an epoch. 8 minutes buy the most steps whose validations end in time as well.
    config = FinetuneConfig(batch_size=4, epochs=30, learning_rate=0.1, max_minutes=8)
    trainer = Timed(config, [ValidationResult(1.0, 0.5)] * 30)
    outcome, events = run(tmp_path, trainer, validation=SAMPLES)
    assert 440 <= clock[0] <= 480 * (1 + loop.SLACK)
    assert outcome.steps == 18
    last = [event for event in events if event.kind == "step"][-1]
    assert last.seconds_left == 30, "the validation at the end"


def test_a_run_over_its_minutes_is_shortened_and_says_so(tmp_path):
    config = FinetuneConfig(batch_size=4, epochs=30, learning_rate=0.1, max_minutes=1e-9)
    outcome, events = run(tmp_path, CountingTrainer(config))
    assert outcome.steps == 6  # warm after four, measured at the fifth, one more is planned
    assert "are enough for 6 of 60 steps" in next(e.message for e in events if e.kind == "warning")


def _weighing(value):
    return SimpleNamespace(parameters=SimpleNamespace(flat=torch.nn.Parameter(torch.tensor([value]))))


def test_the_best_weights_are_of_the_highest_score_and_then_of_the_lowest_loss():
    best, run = loop.BestWeights(True), _weighing(1.0)
    for score, loss in ((0.7, 0.1), (0.8, 0.5), (0.8, 0.4), (0.8, 0.6), (0.7, 0.3)):
        run.parameters.flat.data.fill_(loss)
        best.record(ValidationResult(loss, score), run)
    assert best.give_back(run, ValidationResult(0.3, 0.7)) == ValidationResult(0.4, 0.8)
    assert run.parameters.flat.item() == pytest.approx(0.4)


POSITION = artefacts.Position(job="j", step=3, steps=9, tokens=10, seconds=1.5, curve=((1, 0.5),))


def test_what_is_saved_is_what_is_loaded(tmp_path):
    tensors = {"adapter": torch.arange(5.0), "random": torch.get_rng_state()}
    artefacts.save(tmp_path, POSITION, tensors)
    state = artefacts.load(tmp_path, "j")
    assert state.position == POSITION
    assert all(torch.equal(state.tensors[name], tensors[name]) for name in tensors)
    assert [path.name for path in tmp_path.iterdir()] == [artefacts.FILE]


def test_a_full_disk_leaves_the_previous_one_intact(tmp_path, monkeypatch):
    artefacts.save(tmp_path, POSITION, {"adapter": torch.ones(3)})
    before = (tmp_path / artefacts.FILE).read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        artefacts.save(tmp_path, POSITION, {"adapter": torch.zeros(3)})
    assert "last checkpoint" in caught.value.hint
    assert (tmp_path / artefacts.FILE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [artefacts.FILE]


@pytest.mark.parametrize("damage", [lambda data: data[:20], lambda data: b"", lambda data: b"{" * 100])
def test_a_damaged_file_is_named(tmp_path, damage):
    artefacts.save(tmp_path, POSITION, {"adapter": torch.ones(3)})
    path = tmp_path / artefacts.FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainingError, match="cannot be read") as caught:
        artefacts.load(tmp_path, "j")
    assert str(path) in caught.value.hint


def test_another_jobs_checkpoint_is_refused(tmp_path):
    artefacts.save(tmp_path, POSITION, {"adapter": torch.ones(3)})
    with pytest.raises(TrainingError, match="another job"):
        artefacts.load(tmp_path, "other")
