"""What workers have answered and the store does not have yet: read while they live, and when they are gone."""

import subprocess
import sys
import threading
import time

import msgspec
import pytest
from tests.gateway.capture.test_traces import captured

from freehold.gateway.capture.spool import (
    CHARGE,
    DROPS,
    TRACE,
    Spool,
    SpoolReader,
    await_written,
    digest_of,
    framed,
    in_flight,
    of_other_stores,
    open_spools,
)
from freehold.gateway.messages import NumberedCharge
from freehold.gateway.spending import Charge
from freehold.gateway.telemetry.meters import read_all

pytestmark = pytest.mark.process

URL = "sqlite:///x"
DIE = """
import os, signal, sys
from pathlib import Path
from freehold.gateway.capture.spool import CHARGE, TRACE, Spool, framed
spool = Spool(Path(sys.argv[1]), "store", "gateway", max_items=100, max_bytes=1 << 20)
for number in range(5):
    assert spool.append(framed(TRACE, b"trace %d" % number))
assert spool.charge(b"bill")
spool.drop("queue")
print(spool.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def spool_in(folder, url=URL, **bounds):
    return Spool(folder, digest_of(url), "gateway", **{"max_items": 1000, "max_bytes": 8 << 20, **bounds})


def reader_of(folder):
    (path,) = folder.glob("*.worker")
    return SpoolReader(path)


def found_in(folder, known=(), *, gateway="another", abandoned=True):
    return list(open_spools(folder, "store", gateway, known, abandoned=abandoned))


@pytest.fixture
def dead(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", DIE, str(tmp_path / "spool")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -9, ended.stderr
    return ended.stdout.strip()


def test_all_that_a_killed_worker_left_is_found_and_counted_once(dead, tmp_path):
    folder = tmp_path / "spool"
    assert not list(open_spools(folder, "another-store", "gateway", (), abandoned=True))
    assert not found_in(folder, [dead]) and not found_in(folder, abandoned=False)
    (spool,) = found_in(folder)
    assert spool.id == dead and spool.is_abandoned and spool.look() == [b"bill"] and spool.look() == []
    assert list(spool.messages(TRACE)) == [b"trace %d" % number for number in range(5)]
    assert not found_in(folder), "it is this process's now"
    spool.acknowledge(TRACE, [0, 2])
    assert list(spool.messages(TRACE)) == [b"trace 2", b"trace 3", b"trace 4"]
    spool.close()  # as when the recorder dies
    (spool,) = found_in(folder)
    assert spool.look() == [b"bill"] and list(spool.messages(TRACE)) == [b"trace 2", b"trace 3", b"trace 4"]
    spool.acknowledge(TRACE, [0, 1, 1])
    assert not spool.is_drained
    spool.acknowledge(CHARGE, [0])
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


def test_a_worker_that_lives_is_read_and_sees_what_became_of_its_traces(tmp_path):
    spool = spool_in(tmp_path, max_items=3)
    reader = reader_of(tmp_path)
    assert not reader.is_abandoned and reader.look() == []
    assert [spool.offer(captured()) for _ in range(4)] == [True, True, True, False]
    assert spool.captured == 3 and spool.dropped[DROPS.index("queue")] == 1
    reader.look()
    assert len(list(reader.messages(TRACE))) == 3
    reader.acknowledge(TRACE, [0, 3])
    assert spool.settled == (1, 0, 0, 1) and spool.offer(captured()), "there is room again"
    again = reader_of(tmp_path)  # as after a recorder's death
    again.look()
    assert len(list(again.messages(TRACE))) == 2
    again.acknowledge(TRACE, [0, 0])
    assert spool.settled == (3, 0, 0, 1)
    spool.leave()
    assert again.is_abandoned and again.is_drained


def test_segments_are_removed_when_all_in_them_is_done_with(tmp_path):
    spool, payload = spool_in(tmp_path), bytes(400_000)
    reader = reader_of(tmp_path)
    for _ in range(5):
        assert spool.append(framed(TRACE, payload))
    assert len(list(tmp_path.glob("*.part"))) == 3
    reader.look()
    reader.acknowledge(TRACE, [0] * 3)
    assert len(list(tmp_path.glob("*.part"))) == 2
    again = reader_of(tmp_path)
    again.look()
    again.acknowledge(TRACE, [0] * 2)
    assert spool.settled[0] == 5 and len(list(tmp_path.glob("*.part"))) == 1, "the last one may be written to"
    assert spool.append(framed(TRACE, b"more"))
    again.look()
    assert list(again.messages(TRACE)) == [b"more"]


def bill(number, nano):
    return msgspec.msgpack.encode(NumberedCharge("w", number, 1, Charge(["key:a"], "e", "m", 1, 0, 1), nano))


def test_what_a_worker_still_holds_for_its_bills_is_known_when_it_is_gone(tmp_path):
    spool = spool_in(tmp_path)
    reader = reader_of(tmp_path)
    for number in range(4):
        spool.charge(bill(number, 10**number))
    assert len(reader.look()) == 4
    reader.acknowledge(CHARGE, [0, 0, 0])
    assert spool.booked == 3
    spool.note_released(1)
    spool.charge(bill(4, 10**4))
    reader.look()
    assert reader.held_nano() == {"key:a": 11_110}
    again = reader_of(tmp_path)  # as after a recorder's death: of what was booked it knows nothing
    again.look()
    assert again.held_nano() == {"key:a": 11_000}


def test_what_could_not_be_written_from_the_start_is_written_later(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("in the way")
    spool = spool_in(folder)
    assert not spool.charge(b"bill") and all(spool.offer(captured()) for _ in range(3)), "they wait in memory"
    folder.unlink()
    assert spool.charge(b"bill") and spool.offer(captured())
    spool.write_waiting()
    reader = reader_of(folder)
    assert reader.look() == [b"bill"] and len(list(reader.messages(TRACE))) == 4 and not any(spool.dropped)


def test_only_traces_that_are_not_done_with_are_on_their_way(tmp_path):
    assert in_flight(tmp_path / "none", URL) == frozenset()
    spool = spool_in(tmp_path)
    for payload in (framed(TRACE, b"one"), framed(TRACE, b"two"), framed(CHARGE, b"a bill")):
        spool.append(payload)
    assert len(in_flight(tmp_path, URL)) == 2
    reader = reader_of(tmp_path)
    reader.look()
    reader.acknowledge(TRACE, [0])
    assert len(in_flight(tmp_path, URL)) == 1
    spool_in(tmp_path, "sqlite:///y").append(framed(TRACE, b"of another"))
    assert len(in_flight(tmp_path, URL)) == 1 and of_other_stores(tmp_path, URL) == 1


def test_what_comes_later_is_not_waited_for(tmp_path):
    spool = spool_in(tmp_path)
    spool.append(framed(TRACE, b"before"))
    reader = reader_of(tmp_path)
    reader.look()

    def act():
        time.sleep(0.2)
        spool.append(framed(TRACE, b"after!"))
        reader.acknowledge(TRACE, [0])

    thread = threading.Thread(target=act)
    thread.start()
    assert await_written(tmp_path, URL, within_s=30.0) == 0
    thread.join()
    assert len(in_flight(tmp_path, URL)) == 1
    told = []
    assert await_written(tmp_path, URL, within_s=0.1, tell=told.append) == 1 and told[0] == 1


def test_what_is_done_with_leaves_no_words_behind(tmp_path):
    spool = spool_in(tmp_path)
    spool.append(framed(TRACE, b"Wilhelmine"))
    spool.append(framed(TRACE, b"stays"))
    (part,) = tmp_path.glob("*.part")
    assert b"Wilhelmine" in part.read_bytes()
    reader = reader_of(tmp_path)
    reader.look()
    reader.acknowledge(TRACE, [0])
    assert b"Wilhelmine" not in part.read_bytes() and b"stays" in part.read_bytes()
