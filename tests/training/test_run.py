"""Runs, in child processes and in this one: what one leaves, and that it goes on after whatever ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
import torch
from tests.training.chats import sample
from tests.training.conftest import make_model, make_sample, task_samples, weights_at, write_dataset
from tests.training.runs import JOB_CONFIG, Run, make, weights_of

from freehold import training
from freehold.errors import TrainingError
from freehold.training import artefacts, worker
from freehold.training.templates import is_tagged
from freehold.training.worker import run_job

pytestmark = pytest.mark.timeout(600)


# Each worker imports torch and transformers: seconds on a quiet machine, a minute on a crowded one.

LONG = msgspec.structs.replace(JOB_CONFIG, epochs=100)
"""Long enough that the worker is still at it when an event has been read and the signal comes."""


def _worker_pid(job):
    return next(
        child.pid for child in psutil.Process().children(recursive=True) if job.run_dir in child.cmdline()
    )


def of_note(events):
    """The events without the one that says that nothing is validated: most jobs here hold nothing for it."""
    return (event for event in events if "not validated" not in (event.message or ""))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny):
    """A run from begin to end, and its events."""
    job = make(tmp_path_factory.mktemp("whole"), tiny, config=LONG)
    return job, list(training.train(job))


@pytest.mark.process
def test_a_run_leaves_an_adapter_that_learned_and_is_recognised_until_a_file_changes(whole, tiny):
    job, events = whole
    steps = [event for event in events if event.kind == "step"]
    assert [event.step for event in steps] == list(range(1, 301))
    assert steps[-1].loss < 0.7 * steps[0].loss
    assert events[-1].kind == "end"
    adapter = training.finished_adapter(job)
    assert set(adapter.files) == {
        "adapter_model.safetensors", "adapter_config.json", "adapter.gguf", "chat_template.jinja",
    }  # fmt: skip
    assert (adapter.dataset_id, adapter.base_sha256) == (job.dataset.id, tiny.sha256)
    assert len(adapter.curve) == 300
    path = Path(adapter.path) / "adapter.gguf"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert training.finished_adapter(job) is None
    path.write_bytes(data)


@pytest.mark.process
def test_stopped_killed_and_killed_for_memory_it_leaves_the_same_weights(tmp_path, tiny, whole, monkeypatch):
    job = make(tmp_path, tiny, config=LONG)
    events = training.train(job)
    for event in events:
        if event.kind == "step" and event.step == 2:
            break
    events.close()
    assert training.finished_adapter(job) is None
    stopped = artefacts.load(Path(job.run_dir), job.id).position.step
    assert stopped >= 2, "a worker that is stopped writes a checkpoint"

    counts = iter([0, 1, 1, 1])  # of the system's kills: the first is one of them, the second is not
    monkeypatch.setattr("freehold.hardware.probes.oom_kills", lambda: next(counts))
    ends, killed = [stopped + 40, stopped + 120], set()
    said = []
    with pytest.raises(TrainingError, match="killed"):
        for event in of_note(training.train(job)):
            said.append(event)
            # Events come several at a time: those behind the killing one are of a dead worker.
            if event.kind == "step" and event.step >= ends[0] and (pid := _worker_pid(job)) not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
                ends = ends[1:] or [10**6]
    assert f"resumed at step {stopped}" in said[0].message
    warning = next(event for event in said if event.kind == "warning")
    assert "2,048 tokens at once" in warning.message and len(killed) == 2
    monkeypatch.undo()
    assert list(training.train(job))[-1].kind == "end"
    assert weights_of(job) == weights_of(whole[0])


TRAIN = """
import pathlib, sys
import msgspec
from freehold.training.job import Job
from freehold import training
for event in training.train(msgspec.json.decode(pathlib.Path(sys.argv[1]).read_bytes(), type=Job)):
    print(event.kind, flush=True)
"""


@pytest.mark.process
def test_two_commands_do_not_train_the_same_and_a_killed_ones_worker_is_waited_for(tmp_path, tiny):
    job = make(tmp_path, tiny, config=LONG)
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


def run_here(job):
    """The worker's work in this process; its events."""
    events = []
    Path(job.run_dir).mkdir(parents=True)
    assert run_job(job, events.append, lambda: False)
    return events


def test_one_answer_for_all_is_said(tmp_path, tiny):
    samples = [make_sample(n, f"where is my lamp {n}", "order_status") for n in range(8)]
    job = make(tmp_path, tiny, samples=samples, config=msgspec.structs.replace(JOB_CONFIG, epochs=1.0))
    (warning,) = [event.message for event in of_note(run_here(job)) if event.kind == "warning"]
    assert "all 8 samples have the same answer" in warning


def test_qlora_trains_on_a_small_base(tmp_path, tokenizer, bf16):
    pytest.importorskip("bitsandbytes")
    base = weights_at(
        tmp_path / "base", make_model(tokenizer, hidden_size=64, intermediate_size=128), tokenizer
    )
    trained = {}
    for method in ("lora", "qlora"):
        run = Run(make(tmp_path / method, base), tmp_path / method, method=method, learning_rate=0.05)
        outcome = run.go()
        assert outcome.curve[-1][1] < 0.7 * outcome.curve[0][1]
        trained[method] = run.trainer
    # The embedding stays as it is (336 × 64 weights in bf16); of the layers, 4-bit takes well under 45 %.
    embedding = 336 * 64 * 2
    packed = trained["qlora"].base.weight_bytes - embedding
    assert packed < 0.45 * (trained["lora"].base.weight_bytes - embedding)


@pytest.mark.parametrize(
    ("samples", "changes", "message"),
    [
        ([make_sample(n, "x", "  ") for n in range(20)], {}, "0 samples can be trained on"),
        (task_samples(24), {"r": 64}, "rank r=64 is larger than the smallest adapted layer"),
        (task_samples(24), {"learning_rate": 1e30}, "not a number; batch: samples s"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(tmp_path, tiny, samples, changes, message):
    job = make(tmp_path, tiny, samples=samples, config=msgspec.structs.replace(JOB_CONFIG, **changes))
    with pytest.raises(TrainingError) as caught:
        run_here(job)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.process
def test_what_the_worker_says_is_what_the_command_says(tmp_path, tiny):
    job = make(tmp_path, tiny, samples=task_samples(3))
    with pytest.raises(TrainingError, match=r"training stopped: 3 samples can be trained on") as caught:
        list(training.train(job))
    assert caught.value.hint.startswith("add samples")


# Each worker imports torch and transformers: seconds on a quiet machine, a minute on a crowded one.


def test_a_run_stopped_before_its_first_step_goes_on(tmp_path, tiny):
    config = msgspec.structs.replace(JOB_CONFIG, epochs=1)
    job, straight = (make(tmp_path / name, tiny, config=config) for name in ("stopped", "straight"))
    for each in (job, straight):
        Path(each.run_dir).mkdir(parents=True)
    threads = torch.get_num_threads()
    try:
        events = []
        assert not worker.run_job(job, events.append, lambda: True)
        assert artefacts.load(Path(job.run_dir), job.id).position.step == 0
        assert worker.run_job(job, events.append, lambda: False)
        assert worker.run_job(straight, events.append, lambda: False)
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
    assert weights_of(job) == weights_of(straight)


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_before_it_first_looks_whether_to_stop_nothing_is_to_be_kept_and_it_ends_at_once(tmp_path, number):
    program = (
        "import sys, time; from pathlib import Path; from freehold.training.worker import run_child\n"
        "def work(emit, stop):\n"
        "    print('loading', flush=True)\n"
        "    time.sleep(600)\n"
        "run_child(Path(sys.argv[1]), work)"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"loading\n"
        child.send_signal(number)
        assert child.wait() == worker.STOPPED


def test_a_few_validation_samples_give_no_figure_and_tool_calls_their_format(tmp_path, tiny, tokenizer):
    few = make(tmp_path, tiny)
    data = write_dataset(tmp_path / "more", [*task_samples(8), sample("call")], task_samples(7))
    few = msgspec.structs.replace(few, dataset=data)
    Path(few.run_dir).mkdir(parents=True)
    own, events = tokenizer.chat_template, []
    try:
        found = worker._format(few, tokenizer, events.append)
        assert is_tagged(tokenizer.chat_template)
    finally:
        tokenizer.chat_template = own
    assert (len(found.train), found.validation, found.calls) == (9, [], "tagged")
    said = [event.message for event in events]
    assert "not validated: 7 validation samples can be used, 8 are needed" in said[1]
    assert "freehold's own format" in said[0]
    more = write_dataset(tmp_path / "enough", task_samples(8), task_samples(8))
    found = worker._format(msgspec.structs.replace(few, dataset=more), tokenizer, events.append)
    assert (len(found.validation), found.calls) == (8, "template")
