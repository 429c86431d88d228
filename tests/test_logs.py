"""What a process logs, as `FREEHOLD_LOG` says."""

import logging
import re
import subprocess
import sys

import pytest

from freehold import logs
from freehold.errors import ConfigError


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
