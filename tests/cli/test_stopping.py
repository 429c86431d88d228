"""A signal is not lost, whatever the interpreter is at when it comes."""

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

PROGRAM = """
import os, signal, time, weakref
from freehold.cli import main

class Held:
    pass

def work(**_):
    held = Held()
    # Python ignores what is raised in such a callback: the signal would have come and gone.
    watched = weakref.ref(held, lambda _: (os.kill(os.getpid(), {number}), time.sleep(0.1)))
    try:
        del held
        time.sleep(60)
    finally:
        print("put away", flush=True)

main.cli.main = work
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_callback_of_a_weak_reference_ends_the_command(number):
    program = PROGRAM.format(number=int(number))
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "put away\n", "stopped\n")


def test_what_else_is_ignored_is_still_told():
    program = (
        "import weakref\nfrom freehold.cli import main\nclass Held:\n    pass\n"
        "def work(**_):\n    held = Held()\n    watched = weakref.ref(held, lambda _: 1 / 0)\n    del held\n"
        "main.cli.main = work\nmain.main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "ZeroDivisionError" in ended.stderr
