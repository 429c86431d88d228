"""What a terminal and a pipe show of long work."""

import pytest

from freehold.cli.progress import BarProgress, progress


def test_a_pipe_gets_plain_lines_on_stderr(capsys):
    with progress() as shown:
        shown.step("learn", note="3 epochs")
        shown.say("a checkpoint is written")
    told = capsys.readouterr()
    assert told.out == "" and told.err.splitlines() == ["· learn — 3 epochs", "a checkpoint is written"]


def test_a_bar_forgets_the_pace_of_other_work(monkeypatch):
    clock = [1000.0]
    bar = BarProgress()
    bar._bars.get_time = lambda: clock[0]
    bar.step("learn")
    for done in range(0, 10_001, 1000):
        clock[0] += 1.0
        bar.update(done, 10_000, unit="texts")
    for done in range(1, 21):
        clock[0] += 1.0
        bar.update(done, 10_000, unit="steps")
    (task,) = bar._bars.tasks
    assert task.total == 10_000 and task.completed == 20
    assert task.speed == pytest.approx(1, rel=0.2), "steps, not texts"
