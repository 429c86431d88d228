"""What a process logs, as `FREEHOLD_LOG` says, and what a log file shows of long work."""

import logging
import re
import subprocess
import sys

import pytest

from freehold import logs
from freehold import progress as module
from freehold.errors import ConfigError
from freehold.progress import ProgressLines


@pytest.mark.parametrize(
    ("value", "levels"),
    [
        ("", {}),
        ("info", {"freehold": logging.INFO}),
        ("DEBUG", {"freehold": logging.DEBUG}),
        ("info, freehold.engines=debug,", {"freehold": logging.INFO, "freehold.engines": logging.DEBUG}),
        ("aiohttp=error", {"aiohttp": logging.ERROR}),
        ("error,info", {"freehold": logging.INFO}),
    ],
)
def test_a_value_gives_levels_to_loggers(value, levels):
    assert logs.levels(value) == levels


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("inof", "did you mean info?"),
        ("loud", "a level (debug"),
        ("freehold=", "a level"),
    ],
)
def test_a_wrong_value_is_named_with_the_way_out(value, hint):
    with pytest.raises(ConfigError, match=re.escape(f"FREEHOLD_LOG is {value!r}")) as raised:
        logs.levels(value)
    assert hint in raised.value.hint


PROGRAM = """
import logging, sys
from freehold import logs
logs.configure()
logs.configure()  # a second time: still one line each
for name in ("freehold.engines.supervisor", "freehold.store", "other"):
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger(name), level)("%s said", level)
"""


def logged(**environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), **environment},
    )
    assert not done.stdout
    return done.stderr.splitlines()


@pytest.mark.process
def test_one_part_may_say_more_than_the_rest():
    lines = logged(FREEHOLD_LOG="info,freehold.engines=debug")
    shown = [tuple(line.split()[1:3]) for line in lines]
    assert shown == [
        ("DEBUG", "freehold.engines.supervisor:"),
        ("INFO", "freehold.engines.supervisor:"),
        ("WARNING", "freehold.engines.supervisor:"),
        ("INFO", "freehold.store:"),
        ("WARNING", "freehold.store:"),
        ("WARNING", "other:"),
    ]


def test_lines_go_where_stderr_is_at_that_moment(monkeypatch, capsys):
    handler = logs.StderrHandler()
    handler.setFormatter(logs.TextLines())
    handler.emit(logging.makeLogRecord({"msg": "hello", "name": "freehold", "levelname": "INFO"}))
    assert capsys.readouterr().err.endswith("INFO    freehold: hello\n")


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
