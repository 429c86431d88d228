"""Progress as the protocol tells it."""

import pytest

from freehold.agents.mcp.progress import AgentProgress


def test_the_number_only_grows_and_quick_updates_are_not_all_told():
    clock, told = [0.0], []
    progress = AgentProgress(lambda number, text: told.append((number, text)), lambda: clock[0])
    progress.step("[1/4] import", note="unchanged")
    progress.update(1, 10, unit="rows")
    clock[0] = 1.0
    progress.update(5, 10, unit="rows", note="late")
    progress.step("[2/4] dataset")
    progress.say("done")
    assert told == [
        (1.0, "[1/4] import — unchanged"),
        (2.0, "[1/4] import: 5 of 10 rows — late"),
        (3.0, "[2/4] dataset"),
        (4.0, "done"),
    ]


def test_work_that_is_not_waited_for_ends_at_its_next_sign_of_life():
    progress = AgentProgress(lambda number, text: None)
    progress.close()
    for told in (lambda: progress.step("x"), lambda: progress.update(1, 2), lambda: progress.say("x")):
        with pytest.raises(KeyboardInterrupt):
            told()
