"""What a log file shows of long work."""

from freehold.cli import progress as module
from freehold.cli.progress import PlainProgress, duration


def test_the_time_left_follows_the_works_own_pace(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    shown = PlainProgress()
    shown.step("learn")
    clock[0] = 60.0  # a minute of loading
    shown.update(1, 101, unit="steps")
    clock[0] = 80.0
    shown.update(11, 101, unit="steps", note="loss 0.1")
    first, second = capsys.readouterr().err.splitlines()[1:]
    assert first == "    1 of 101 steps"
    assert second == "    11 of 101 steps, about 3m 00s left — loss 0.1"


def test_durations():
    assert [duration(seconds) for seconds in (0.4, 59, 61, 3700)] == ["0s", "59s", "1m 01s", "1h 01m"]
