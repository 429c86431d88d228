import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
from tests.training.conftest import make_sample, task_samples, write_dataset
from tests.training.jobs import CONFIG, make, weights_of

from freehold import training
from freehold.errors import TrainingError
from freehold.training import checkpoint

# Each worker imports torch and transformers: seconds on a quiet machine, a minute on a crowded one.
pytestmark = pytest.mark.timeout(600)


def _worker_pid(job):
    return next(
        child.pid for child in psutil.Process().children(recursive=True) if job.run_dir in child.cmdline()
    )


@pytest.mark.process
def test_a_run_leaves_an_adapter_that_learned(tmp_path, tiny):
    job = make(tmp_path, tiny)
    events = list(training.train(job))
    steps = [event for event in events if event.kind == "step"]
    assert [event.step for event in steps] == list(range(1, 121))
    assert steps[-1].loss < 0.7 * steps[0].loss
    assert events[-1].kind == "end"
    adapter = training.finished_adapter(job)
    assert adapter is not None
    assert set(adapter.files) == {
        "adapter_model.safetensors", "adapter_config.json", "adapter.gguf", "chat_template.jinja",
    }  # fmt: skip
    assert adapter.dataset_id == job.dataset.id
    assert adapter.base_sha256 == tiny.sha256
    assert len(adapter.curve) == 120


TRAIN = """
import pathlib, sys
import msgspec
from freehold import training
from freehold.training.job import Job
for event in training.train(msgspec.json.decode(pathlib.Path(sys.argv[1]).read_bytes(), type=Job)):
    print(event.kind, flush=True)
"""


def of_note(events):
    """The events without the one that says that nothing is validated: most jobs here hold nothing for it."""
    return (event for event in events if "not validated" not in (event.message or ""))


@pytest.mark.process
def test_two_commands_do_not_train_the_same_and_a_killed_ones_worker_is_waited_for(tmp_path, tiny):
    job = make(tmp_path, tiny, config=msgspec.structs.replace(CONFIG, epochs=200, checkpoint_steps=1000))
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "job.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert next(line for line in first.stdout if line == "step\n")
        with pytest.raises(TrainingError, match=f"is being trained by process {first.pid} on"):
            next(training.train(job))
        worker = _worker_pid(job)
        first.kill()
    events = of_note(training.train(job))
    waits = next(events)
    assert waits.kind == "warning" and "writes a checkpoint" in waits.message
    begins = next(events)
    assert not psutil.pid_exists(worker), "it began while the other worker still wrote"
    assert "resumed at step" in begins.message
    events.close()


@pytest.mark.process
def test_one_answer_for_all_is_said(tmp_path, tiny):
    samples = [make_sample(n, f"where is my lamp {n}", "order_status") for n in range(8)]
    job = make(tmp_path, tiny, samples=samples, config=msgspec.structs.replace(CONFIG, epochs=1.0))
    warnings = [event.message for event in of_note(training.train(job)) if event.kind == "warning"]
    assert len(warnings) == 1
    assert "all 8 samples have the same answer" in warnings[0]


@pytest.mark.process
def test_killed_three_times_and_resumed_gives_the_same_weights(tmp_path, tiny):
    # Long enough that the worker is still at it when the last event has been read and the signal comes.
    config = msgspec.structs.replace(CONFIG, epochs=200)
    whole = make(tmp_path / "whole", tiny, config=config)
    for _ in training.train(whole):
        pass
    job = make(tmp_path / "killed", tiny, config=config)
    assert job.id == whole.id
    points = sorted(random.sample(range(2, 118), 3))
    for point in points:
        killed = False  # Events come several at a time: those behind the killing one are of a dead worker.
        with pytest.raises(TrainingError, match="killed"):
            for event in training.train(job):
                if event.kind == "step" and event.step >= point and not killed:
                    os.kill(_worker_pid(job), signal.SIGKILL)
                    killed = True
    resumed = list(of_note(training.train(job)))
    assert points[-1] < 3 or "resumed at step" in resumed[0].message
    assert weights_of(job) == weights_of(whole), points


@pytest.mark.process
def test_a_worker_killed_for_memory_goes_on_with_less_at_once(tmp_path, tiny, monkeypatch):
    kills = iter([0, 1, 1, 1])
    monkeypatch.setattr("freehold.hardware.cgroup.oom_kills", lambda: next(kills))
    job = make(tmp_path, tiny)
    events = []
    for event in of_note(training.train(job)):
        events.append(event)
        if event.kind == "step" and event.step == 20 and len(events) < 30:
            os.kill(_worker_pid(job), signal.SIGKILL)
    warning = next(event for event in events if event.kind == "warning")
    assert "2,048 tokens at once" in warning.message
    assert events[-1].kind == "end"
    assert training.finished_adapter(job) is not None


@pytest.mark.process
def test_closing_stops_the_worker_which_writes_a_checkpoint(tmp_path, tiny):
    job = make(tmp_path, tiny, config=msgspec.structs.replace(CONFIG, checkpoint_steps=1000))
    events = training.train(job)
    for event in events:
        if event.kind == "step" and event.step == 2:
            break
    events.close()
    assert training.finished_adapter(job) is None
    state = checkpoint.load(Path(job.run_dir), job.id)
    assert state is not None
    assert state.position.step >= 2


@pytest.mark.process
def test_a_finished_job_is_recognised_until_a_file_changes(tmp_path, tiny):
    job = make(tmp_path, tiny, config=msgspec.structs.replace(CONFIG, epochs=1.0))
    assert training.finished_adapter(job) is None
    list(training.train(job))
    adapter = training.finished_adapter(job)
    assert adapter is not None
    path = Path(adapter.path) / "adapter.gguf"
    path.write_bytes(path.read_bytes()[:-1])
    assert training.finished_adapter(job) is None


@pytest.mark.process
def test_early_stopping_keeps_the_best(tmp_path, tiny):
    config = msgspec.structs.replace(CONFIG, patience=2, learning_rate=0.2, lr_scheduler="constant")
    # Training labels are noise on the validation texts, so learning them makes validation worse.
    train = [
        make_sample(n, f"where is my lamp {n}", ["order_status", "order_cancel"][n % 2]) for n in range(16)
    ]
    validation = [make_sample(n, f"where is my lamp {n - 100}", "damaged_item") for n in range(100, 108)]
    dataset = write_dataset(tmp_path / "data", train, validation)
    job = training.make(config=config, dataset=dataset, base=tiny, out_dir=tmp_path / "out", name="x")
    events = list(training.train(job))
    losses = [event.loss for event in events if event.kind == "eval"]
    assert len(losses) < 40
    assert losses[-1] > min(losses)
    adapter = training.finished_adapter(job)
    assert adapter.metadata["validation_loss"] == min(losses)
    assert adapter.steps < 80


@pytest.mark.process
def test_qlora_trains_on_a_small_base(tmp_path, tmp_path_factory, tokenizer):
    pytest.importorskip("bitsandbytes")
    from tests.training.conftest import make_model, weights_at

    base = weights_at(
        tmp_path / "base", make_model(tokenizer, hidden_size=64, intermediate_size=128), tokenizer
    )
    config = msgspec.structs.replace(CONFIG, epochs=10)
    adapters = {}
    for method in ("lora", "qlora"):
        job = make(
            tmp_path / method,
            base,
            config=msgspec.structs.replace(config, method=method, precision="bf16"),
            name=method,
        )
        steps = [event for event in training.train(job) if event.kind == "step"]
        assert steps[-1].loss < 0.7 * steps[0].loss
        adapters[method] = training.finished_adapter(job).metadata
    assert adapters["qlora"]["layers"] == "modules"
    # The embedding stays as it is (336 × 64 weights in bf16); of the layers, 4-bit takes well under 45 %.
    embedding = 336 * 64 * 2
    packed = adapters["qlora"]["base_weight_bytes"] - embedding
    assert packed < 0.45 * (adapters["lora"]["base_weight_bytes"] - embedding)


@pytest.mark.process
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_modules": ("nowhere",)}, "cannot be attached"),
        ({"learning_rate": 1e30}, "not a number; batch: samples s"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(tmp_path, tiny, changes, message):
    job = make(tmp_path, tiny, samples=task_samples(24), config=msgspec.structs.replace(CONFIG, **changes))
    with pytest.raises(TrainingError) as caught:
        list(training.train(job))
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
