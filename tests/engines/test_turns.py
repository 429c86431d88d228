"""Short turns, on the kernel of this machine."""

import os
import subprocess
import sys

import pytest

from freehold.engines import turns

pytestmark = pytest.mark.skipif(
    turns.turn_ns(os.getpid()) in (None, 0), reason="this system does not let a thread choose its turns"
)

ASK = """
import os, sys, threading
from freehold.engines import turns
sys.stdin.readline()
found = []
thread = threading.Thread(target=lambda: found.append(turns.turn_ns(threading.get_native_id())))
thread.start(); thread.join()
print(found[0], turns.turn_ns(os.getpid()), os.nice(0))
"""


def test_a_process_and_the_threads_it_starts_later_have_short_turns_at_the_same_priority():
    child = subprocess.Popen([sys.executable, "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    before = os.getpriority(os.PRIO_PROCESS, child.pid)
    assert turns.shorten(child.pid)
    said, _ = child.communicate(b"\n", timeout=60)
    assert [int(word) for word in said.split()] == [turns.TURN_NS, turns.TURN_NS, before]


def test_a_process_that_has_ended_is_no_error():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert not turns.shorten(child.pid)
