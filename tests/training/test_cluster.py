"""Two workers make the run that one makes."""

import msgspec
import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold import training
from freehold.errors import TrainingError
from freehold.types.config import FinetuneConfig

pytest.importorskip("ray")
pytest.importorskip("pyarrow")
pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

CONFIG = FinetuneConfig(
    r=4,
    epochs=4,
    batch_size=8,
    learning_rate=0.02,
    precision="fp32",
)
TWO = training.WorkerGroup(workers=2)


def make(tmp_path, tiny, **changes):
    # 25 samples: the last batch of an epoch has one, and one worker then none.
    dataset = write_dataset(tmp_path / "data", task_samples(25), task_samples(9))
    return training.make(
        config=msgspec.structs.replace(CONFIG, **changes.pop("config", {})),
        dataset=dataset, base=tiny, out_dir=tmp_path / "out", name="task", threads=1, **changes,
    )  # fmt: skip


def test_two_workers_take_the_steps_of_one(tmp_path, tiny):
    from safetensors.torch import load_file

    alone, together = make(tmp_path / "one", tiny), make(tmp_path / "two", tiny, cluster=TWO)
    assert together.id == alone.id
    list(training.train(alone))
    events = list(training.train(together))
    assert [event.step for event in events if event.kind == "step"] == list(range(1, 17))
    one, two = training.finished_adapter(alone), training.finished_adapter(together)
    for (step, wanted), (other, found) in zip(one.curve, two.curve, strict=True):
        assert step == other
        assert found == pytest.approx(wanted, rel=1e-3), step
    assert two.metadata["validation_loss"] == pytest.approx(one.metadata["validation_loss"], rel=1e-3)
    assert two.train_tokens == one.train_tokens
    ours, theirs = (load_file(f"{adapter.path}/adapter_model.safetensors") for adapter in (one, two))
    for name, tensor in ours.items():
        assert (tensor - theirs[name]).abs().max() < 5e-3, name


def test_a_stopped_run_goes_on_from_its_checkpoint(tmp_path, tiny):
    job = make(tmp_path, tiny, cluster=TWO, config={"epochs": 30})
    events = training.train(job)
    for event in events:
        if event.kind == "step" and event.step == 5:
            break
    events.close()
    assert training.finished_adapter(job) is None
    again = list(training.train(job))
    assert "resumed at step" in next(event.message for event in again if event.kind == "start")
    assert training.finished_adapter(job).steps == 120


def test_what_cannot_be_trained_is_said_in_one_line(tmp_path, tiny):
    job = make(tmp_path, tiny, config={"r": 64}, cluster=TWO)
    with pytest.raises(TrainingError, match="rank r=64 is larger"):
        list(training.train(job))
