"""What a worker holds, in files that outlive it."""

import stat

import pytest
from tests.gateway.capture.exchanges import captured

from freehold.gateway.capture import spool as spools
from freehold.gateway.capture.frames import CHARGE, TRACE, frame
from freehold.gateway.capture.leftovers import find_dead_spool
from freehold.gateway.capture.recorder_client import RecorderClient
from freehold.gateway.capture.spool import Spool, messages_in, parts_of


def spool_in(folder, **changes):
    return Spool(folder, "store", **{"max_bytes": 8 << 20, **changes})


def test_messages_stand_in_files_that_only_their_owner_may_read(tmp_path):
    spool = spool_in(tmp_path / "spool")
    spool.append(frame(TRACE, b"one"))
    segment, at = spool.append(frame(CHARGE, b"two"))
    worker_file = tmp_path / "spool" / f"{spool.id}.worker"
    for path in (worker_file, *parts_of(worker_file)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(worker_file.parent.stat().st_mode) == 0o700
    data = parts_of(worker_file)[0].read_bytes()
    assert [(tag, size, done) for _, tag, size, _, done in messages_in(data)] == [
        (TRACE, 3, False),
        (CHARGE, 3, False),
    ]
    spool.done(segment, at, counts=False)
    assert [done for *_, done in messages_in(parts_of(worker_file)[0].read_bytes())] == [False, True]
    assert find_dead_spool(tmp_path / "spool", "store") is None, "its worker lives"


def test_a_full_disk_is_no_room_and_counted(tmp_path, monkeypatch):
    spool = spool_in(tmp_path)
    client = RecorderClient("nowhere", spool, max_items=10, max_bytes=1 << 20, on_message=lambda *_: None)

    def full(file, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spools, "_allocate", full)
    assert not client.offer(captured()) and not client.charge(b"bill")
    assert spool.dropped == [0, 1, 0, 0] and client.captured == 0
    monkeypatch.undo()
    assert client.offer(captured()) and client.captured == 1


@pytest.mark.parametrize("limit", [{"max_items": 2}, {"max_bytes": 1200}])
def test_the_queue_is_bounded_and_says_what_it_dropped(tmp_path, limit):
    values = {"max_items": 100, "max_bytes": 1 << 20, **limit}
    client = RecorderClient("nowhere", spool_in(tmp_path), on_message=lambda *_: None, **values)
    taken = sum(client.offer(captured()) for _ in range(5))
    assert 0 < taken < 5 and client.spool.dropped == [5 - taken, 0, 0, 0]
