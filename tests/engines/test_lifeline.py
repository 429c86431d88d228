"""A program run on a lifeline ends with its parent, and its own end is passed on."""

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process


def run(*program):
    command = [sys.executable, "-m", "freehold.engines.lifeline", *program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_its_exit_code_is_the_programs():
    with run(sys.executable, "-c", "raise SystemExit(7)") as process:
        assert process.wait(60) == 7


def test_it_dies_of_the_signal_its_program_died_of():
    with run(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)") as process:
        assert process.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("end", ["the parent lets go", "a signal"])
def test_the_program_is_told_to_end(end):
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('told', flush=True), sys.exit(0)))\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    with run(sys.executable, "-c", code) as process:
        assert process.stdout.readline() == "ready\n"
        if end == "a signal":
            process.terminate()
        else:
            process.stdin.close()
        assert process.stdout.readline() == "told\n"
        assert process.wait(60) == 0
