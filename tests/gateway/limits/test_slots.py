"""Slots of concurrent requests, counted over processes."""

import multiprocessing

import pytest

from freehold.gateway.limits.slots import LocalSlots, SharedSlots


def _hold(folder, ready, go):
    slots = SharedSlots(folder, "route:r")
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
    mine = SharedSlots(tmp_path, "route:r")
    assert not mine.acquire(3) and SharedSlots(tmp_path, "route:other").acquire(1)
    for other in others:
        other.kill()
        other.join()
    assert [mine.acquire(3) for _ in range(4)] == [True, True, True, False]
    mine.release()
    assert mine.acquire(3) and not mine.acquire(0)


@pytest.mark.parametrize("make", [LocalSlots, lambda: None])
def test_places_alone(make, tmp_path):
    slots = make() or SharedSlots(tmp_path, "key:a")
    assert slots.acquire(1) and not slots.acquire(1)
    slots.wait(1)
    assert slots.waiting_elsewhere() == 0
    slots.wait(-1)
    slots.release()
    assert slots.acquire(1)


def test_a_page_that_was_tidied_away_keeps_what_runs(tmp_path):
    mine = SharedSlots(tmp_path, "key:a")
    assert mine.acquire(2)
    for file in tmp_path.iterdir():
        file.unlink()
    other = SharedSlots(tmp_path, "key:a")
    assert mine.acquire(2) and not mine.acquire(2)
    mine.release()
    mine.release()
    assert other.acquire(2)
    with pytest.raises(OSError):
        SharedSlots(tmp_path / "nowhere", "key:a")
