"""What is on its way to the store, as other processes see it, and what a worker that is gone leaves behind."""

import subprocess
import sys
import threading
import time

import pytest

from freehold.gateway.capture.frames import CHARGE, TRACE, frame
from freehold.gateway.capture.in_flight import await_written, in_flight, of_other_stores
from freehold.gateway.capture.leftovers import find_dead_spool
from freehold.gateway.capture.spool import Spool, store_digest
from freehold.gateway.telemetry.meters import read_all

URL = "sqlite:///x"


def spool_in(folder, url=URL):
    return Spool(folder, store_digest(url), max_bytes=8 << 20)


def test_only_traces_that_are_not_done_with_are_on_their_way(tmp_path):
    assert in_flight(tmp_path / "none", URL) == frozenset()
    spool = spool_in(tmp_path)
    first = spool.append(frame(TRACE, b"one"))
    spool.append(frame(TRACE, b"two"))
    spool.append(frame(CHARGE, b"a bill"))
    assert len(in_flight(tmp_path, URL)) == 2
    spool.done(*first)
    assert len(in_flight(tmp_path, URL)) == 1
    spool_in(tmp_path, "sqlite:///y").append(frame(TRACE, b"of another"))
    assert len(in_flight(tmp_path, URL)) == 1 and of_other_stores(tmp_path, URL) == 1


def test_what_comes_later_is_not_waited_for_even_in_the_same_place(tmp_path):
    spool = spool_in(tmp_path)
    place = spool.append(frame(TRACE, b"before"))

    def act():
        time.sleep(0.2)
        spool.done(*place)
        assert spool.append(frame(TRACE, b"after!"))[1] == place[1], "its place is used again"

    thread = threading.Thread(target=act)
    thread.start()
    assert await_written(tmp_path, URL, within_s=30.0) == 0
    thread.join()
    assert len(in_flight(tmp_path, URL)) == 1


def test_what_stays_is_told(tmp_path):
    spool = spool_in(tmp_path)
    spool.append(frame(TRACE, b"one"))
    told = []
    assert await_written(tmp_path, URL, within_s=0.1, tell=told.append) == 1 and told[0] == 1


def test_what_is_done_with_leaves_no_words_behind(tmp_path):
    spool = spool_in(tmp_path)
    place = spool.append(frame(TRACE, b"Wilhelmine"))
    kept = spool.append(frame(TRACE, b"stays"))
    (part,) = tmp_path.glob("*.part")
    assert b"Wilhelmine" in part.read_bytes()
    spool.done(*place)
    assert b"Wilhelmine" not in part.read_bytes() and b"stays" in part.read_bytes()
    spool.done(*kept)
    spool.append(frame(TRACE, b"of the dead"))
    spool.append(frame(TRACE, b"not yet"))
    spool.close()
    dead = find_dead_spool(tmp_path, store_digest(URL))
    dead.acknowledge(TRACE, 0, 1)
    dead.close()
    assert b"of the dead" not in part.read_bytes() and b"not yet" in part.read_bytes()


DIE = """
import os, signal, sys
from pathlib import Path
from freehold.gateway.capture.frames import CHARGE, TRACE, frame
from freehold.gateway.capture.spool import Spool
spool = Spool(Path(sys.argv[1]), "store", max_bytes=1 << 20)
places = [spool.append(frame(TRACE, b"trace %d" % number)) for number in range(5)]
spool.append(frame(CHARGE, b"bill"))
spool.done(*places[0])
spool.done(*places[1], outcome=2)
spool.drop(0)
print(spool.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def dead(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", DIE, str(tmp_path / "spool")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -9, ended.stderr
    return ended.stdout.strip()


@pytest.mark.process
def test_all_that_was_not_done_with_is_found_and_counted_once(dead, tmp_path):
    folder = tmp_path / "spool"
    assert find_dead_spool(folder, "another-store") is None
    spool = find_dead_spool(folder, "store")
    assert spool.id == dead and find_dead_spool(folder, "store") is None, "it is this process's now"
    assert list(spool.messages(TRACE)) == [b"trace 2", b"trace 3", b"trace 4"]
    assert list(spool.messages(CHARGE)) == [b"bill"]
    spool.acknowledge(TRACE, 0, 1)
    spool.close()  # as when the recorder dies
    spool = find_dead_spool(folder, "store")
    assert list(spool.messages(TRACE)) == [b"trace 3", b"trace 4"]
    spool.acknowledge(TRACE, 1, 2)
    assert not spool.is_drained
    spool.acknowledge(CHARGE, 0, 1)
    assert spool.is_drained
    spool.remove(tmp_path)
    assert list(folder.iterdir()) == []
    (numbers,) = read_all(tmp_path)
    assert numbers.counters == {
        "freehold_traces_captured": [((), 5.0)],
        "freehold_traces_stored": [((), 2.0)],
        "freehold_traces_dropped": [(("queue",), 1.0)],
        "freehold_traces_lost": [(("store",), 2.0), (("redaction",), 1.0)],
    }
