"""What is on its way to the store, as another process sees it."""

import threading
import time

from freehold.gateway.capture.frames import CHARGE, TRACE, frame
from freehold.gateway.capture.in_flight import await_written, in_flight, of_other_stores
from freehold.gateway.capture.leftovers import find_dead_spool
from freehold.gateway.capture.spool import Spool, store_digest

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
