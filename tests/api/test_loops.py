"""Calls that block, in a thread whose event loop runs already."""

import asyncio
import signal
import subprocess
import sys
import threading
from contextvars import ContextVar
from types import SimpleNamespace

import anyio
import pytest

from freehold.api.calling import blocking, finished, watched
from freehold.progress_lines import ProgressLines
from freehold.types.progress import Silent

SAID = ContextVar("SAID", default="nothing")


@blocking
def answered(what):
    async def work():
        await anyio.sleep(0)
        return what, threading.current_thread() is threading.main_thread(), SAID.get()

    return finished(work)


def test_without_a_loop_the_work_runs_where_it_was_called():
    assert answered("yes") == ("yes", True, "nothing")


def test_within_a_loop_it_runs_in_a_thread_with_what_was_set_there():
    async def notebook():
        SAID.set("why")
        return answered("yes")

    assert asyncio.run(notebook()) == ("yes", False, "why")


def test_errors_come_out_as_they_are():
    @blocking
    def fails():
        raise LookupError("gone")

    async def notebook():
        fails()

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(notebook())


STOPPED = """
import asyncio, sys, time
from freehold.api.calling import blocking

@blocking
def work():
    try:
        print("works", flush=True)
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        print("put away", flush=True)
        raise


async def cell():
    try:
        work()
    except KeyboardInterrupt:
        print("stopped", flush=True)

import signal
loop = asyncio.new_event_loop()
signal.signal(signal.SIGINT, signal.default_int_handler)
loop.run_until_complete(cell())
"""


@pytest.mark.process
def test_what_stops_the_caller_stops_the_work():
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "works\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().splitlines() == ["put away", "stopped"]
    assert process.returncode == 0


def test_the_callers_own_is_taken():
    own = Silent()
    assert watched(own) is own


def test_a_terminal_gets_lines_that_cannot_steer_it_and_a_pipe_nothing(monkeypatch, capsys):
    assert type(watched(None)) is Silent
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = watched(None)
    assert isinstance(shown, ProgressLines)
    shown.step("import \x1b[31mred")
    assert capsys.readouterr().err == "· import \\x1b[31mred\n"


def test_a_notebook_gets_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: object()))
    assert isinstance(watched(None), ProgressLines)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert type(watched(None)) is Silent
