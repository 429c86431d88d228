"""What a log file shows of long work."""

from freehold import progress_lines as module
from freehold.progress_lines import ProgressLines


def test_work_that_changes_within_a_step_has_a_pace_of_its_own(monkeypatch):
    """An encoder reads 10,000 texts and then learns in 100 steps of a second: an hour and more was said to be left."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    lines = []
    shown = ProgressLines(lines.append)
    shown.step("learn")
    for done in range(0, 10_001, 1000):
        clock[0] += 5.0
        shown.update(done, 10_000, unit="texts")
    for done in range(1, 52):
        clock[0] += 1.0
        shown.update(done, 100, unit="steps")
    clock[0] += 20.0
    shown.update(5, 100, unit="steps", note="again")
    *_, before, again = lines
    left = before.partition("about ")[2]
    assert before.startswith("    5") and 45 <= int(left.partition("s")[0]) <= 60, before
    assert again == "    5 of 100 steps — again", "begun again: nothing is known of its pace yet"
