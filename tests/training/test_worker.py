"""The worker's job in this process."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
import torch
from tests.training.conftest import task_samples, write_dataset
from tests.training.jobs import CONFIG, make, weights_of
from tests.training.templates.chats import sample

from freehold.training import artefacts, worker
from freehold.training import job as jobs
from freehold.training.templates import is_tagged
from freehold.types.training import TrainingEvent

# Each worker imports torch and transformers: seconds on a quiet machine, a minute on a crowded one.
pytestmark = pytest.mark.timeout(600)


def test_a_run_stopped_before_its_first_step_goes_on(tmp_path, tiny):
    config = msgspec.structs.replace(CONFIG, epochs=1)
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


def test_what_is_foreseen_ends_with_an_error_event(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(worker, "_Stop", lambda: lambda: False)  # leave this process's signals alone
    job = make(tmp_path, tiny, samples=task_samples(3))
    run_dir = Path(job.run_dir)
    run_dir.mkdir(parents=True)
    (run_dir / jobs.JOB).write_bytes(msgspec.json.encode(job))
    threads = torch.get_num_threads()
    try:
        assert worker.main([str(run_dir)]) == 1
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
    event = msgspec.json.decode((run_dir / jobs.EVENTS).read_bytes().splitlines()[-1], type=TrainingEvent)
    assert event.kind == "error"
    message, _, hint = event.message.partition("\n")
    assert "3 samples can be trained on" in message and "add samples" in hint


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


def test_the_largest_memory_so_far_is_in_bytes():
    used = psutil.Process().memory_info().rss
    assert used / 4 < worker.peak_memory() < 1 << 45
