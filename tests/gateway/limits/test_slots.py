"""Slots of concurrent requests, counted over processes."""

import multiprocessing
import os
import struct
import subprocess
import sys

import pytest

from freehold.gateway.limits.limiter import Slots
from freehold.processes import start_of

pytestmark = pytest.mark.process


def _hold(folder, ready, go):
    slots = Slots(folder, "route:r")
    took = [slots.acquire(3) for _ in range(2)]
    ready.put(took.count(True))
    go.wait(20)


def test_places_are_counted_over_processes_and_a_killed_one_loses_its_own(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Queue(), context.Event()
    others = [context.Process(target=_hold, args=(tmp_path, ready, go)) for _ in range(2)]
    for other in others:
        other.start()
    assert sum(ready.get(timeout=120) for _ in others) == 3, "three slots, whoever got them"
    mine = Slots(tmp_path, "route:r")
    assert not mine.acquire(3) and Slots(tmp_path, "route:other").acquire(1)
    for other in others:
        other.kill()
        other.join()
    assert [mine.acquire(3) for _ in range(4)] == [True, True, True, False]
    mine.release()
    assert mine.acquire(3) and not mine.acquire(0)


_TAKES_TWO = """
import sys
from pathlib import Path
from freehold.gateway.limits.limiter import Slots
slots = Slots(Path(sys.argv[1]), "route:r")
print([slots.acquire(3) for _ in range(2)].count(True), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("reused", ["by another process", "by a worker"])
def test_a_process_with_the_number_of_a_killed_worker_does_not_hold_its_slots(tmp_path, reused):
    """The cell of a worker that was killed is given the number of a process that lives, as the system does it."""
    with subprocess.Popen(
        [sys.executable, "-c", _TAKES_TWO, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout.readline().strip() == "2"
        started = start_of(worker.pid)
        worker.kill()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        number = other.pid if reused == "by another process" else os.getpid()
        assert start_of(number) not in (None, started)
        (page,) = tmp_path.iterdir()
        cells = page.read_bytes()
        assert cells.startswith(struct.pack("=qqq", worker.pid, started, 2))
        page.write_bytes(cells.replace(struct.pack("=q", worker.pid), struct.pack("=q", number), 1))
        mine = Slots(tmp_path, "route:r")
        assert [mine.acquire(3) for _ in range(4)] == [True, True, True, False]
        other.communicate(b"\n")
