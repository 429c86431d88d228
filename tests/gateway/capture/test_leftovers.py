"""What a worker that is gone leaves behind."""

import subprocess
import sys

import pytest
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import eventually, gateway, processes, traces_of

from freehold.gateway.capture.frames import CHARGE, TRACE
from freehold.gateway.capture.leftovers import find_dead_spool
from freehold.gateway.telemetry.meters import read_all

pytestmark = pytest.mark.process

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


def test_a_gateway_that_was_killed_whole_is_drained_by_the_next_one(upstream, tmp_path):
    with gateway(upstream, tmp_path) as running:
        assert post(running, QUESTION)[0] == 200
        eventually(lambda: len(traces_of(running)) == 1)
        recorder = processes(running, "recorder")[0]
        recorder.suspend()
        for _ in range(4):
            assert post(running, QUESTION)[0] == 200
        workers = processes(running, "worker")
        running.process.kill()
        for process in (recorder, *workers):
            process.kill()
    assert len(traces_of(running)) == 1 and list((tmp_path / "spool").glob("*.part"))
    with gateway(upstream, tmp_path) as running:
        eventually(lambda: len(traces_of(running)) == 5)
        eventually(lambda: list((tmp_path / "spool").glob("*.worker")) != [])
        eventually(lambda: metric(running, "freehold_traces_stored_total") == 5)
