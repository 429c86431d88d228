"""Rates of a sliding minute, counted by one worker and by several."""

import multiprocessing
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.limits import rates
from freehold.gateway.limits.rates import LocalRates, RateCounter, SharedRates


def test_a_minute_slides():
    counter = RateCounter()
    counter.add(60, 600, 120.0)
    assert counter.used(0, 179.0) == 60
    assert counter.used(0, 210.0) == pytest.approx(30), "half of the last minute still counts"
    assert counter.used(1, 240.0) == 0


def test_what_others_used_counts_and_never_lowers_ours():
    counter = RateCounter()
    counter.add(5, 0, 120.0)
    assert counter.take_unreported() == (5, 0) and counter.take_unreported() == (0, 0)
    counter.learn(2, 12, 0, 121.0)
    assert counter.used(0, 121.0) == 12
    counter.learn(2, 7, 0, 121.0)
    assert counter.used(0, 121.0) == 12
    counter.learn(1, 60, 0, 121.0)
    assert counter.used(0, 150.0) == pytest.approx(12 + 30)


def test_a_worker_that_starts_learns_what_was_used_before_it_is_asked():
    counter = RateCounter()
    counter.learn(2, 12, 30, 121.0)
    assert (counter.used(0, 121.0), counter.used(1, 121.0)) == (12, 30)


def test_a_clock_that_was_read_just_before_the_minute_turned_forgets_nothing():
    counter = RateCounter()
    counter.add(5, 0, 119.0)
    counter.add(3, 0, 120.0)
    counter.add(2, 0, 119.999)
    assert counter.used(0, 120.0) == 10


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers(0, 5), st.floats(0, 50)), max_size=40
    )
)
def test_several_workers_count_as_one_does(tmp_path_factory, events):
    """The same uses, by one worker in its own memory and by four that share a page, come to the same."""
    folder = tmp_path_factory.mktemp("run")
    workers = [SharedRates(folder, cells=8) for _ in range(4)]
    alone = LocalRates()
    now_s = time.time() // 60 * 60
    for worker, name, requests, passed_s in events:
        now_s += passed_s
        for counts in (workers[worker], alone):
            with counts.counting() as counted:
                counted(name).add(requests, 2 * requests, now_s)
    for name in "abc":
        found = []
        for counts in (alone, *workers):
            with counts.counting() as counted:
                found.append((counted(name).used(0, now_s), counted(name).used(1, now_s)))
        assert len(set(found)) == 1, found
    for worker in workers:
        worker._page.close()


def _take(folder, limit, tries, taken):
    mine = SharedRates(folder)
    count = 0
    for _ in range(tries):
        try:
            with mine.counting() as counted:
                counter = counted("key:a")
                if counter.used(0, 1_000_000.0) < limit:
                    counter.add(1, 0, 1_000_000.0)
                    count += 1
        except TimeoutError:
            continue  # the gateway refuses a request that meets one
    taken.put(count)


def test_processes_that_ask_at_once_never_take_the_same_request(tmp_path):
    context = multiprocessing.get_context("spawn")
    taken = context.Queue()
    others = [context.Process(target=_take, args=(tmp_path, 500, 400, taken)) for _ in range(3)]
    for other in others:
        other.start()
    assert sum(taken.get(timeout=120) for _ in others) == 500
    for other in others:
        other.join()


def test_a_page_that_was_tidied_away_is_made_newly_with_what_it_held(tmp_path):
    one, other = SharedRates(tmp_path), SharedRates(tmp_path)
    now_s = time.time()
    with one.counting() as counted:
        counted("key:a").add(7, 0, now_s)
    (tmp_path / "rates").unlink()
    for find in (lambda: one, lambda: other, lambda: SharedRates(tmp_path)):
        with find().counting() as counted:
            counted("key:a").add(1, 0, now_s)
    with one.counting() as counted:
        assert counted("key:a").used(0, now_s) == 10


def test_without_its_page_nothing_is_counted_and_that_is_an_error(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    mine = SharedRates(folder)
    (folder / "rates").unlink()
    folder.rmdir()
    with pytest.raises(OSError), mine.counting():
        pass
    folder.mkdir()
    (folder / "rates").touch()
    with mine.counting() as counted:
        counted("key:a").add(1, 0, 60.0)
    (folder / "rates").write_bytes(b"")
    with pytest.raises(OSError, match="cut short"), mine.counting():
        pass


def test_a_full_table_is_an_error_and_names_of_long_ago_make_room(tmp_path, monkeypatch):
    mine = SharedRates(tmp_path, cells=4)
    now_s = time.time()
    for number in range(4):
        with mine.counting() as counted:
            counted(f"key:{number}").add(1, 0, now_s)
    with pytest.raises(OSError, match="full"), mine.counting() as counted:
        counted("key:more")
    monkeypatch.setattr(rates.time, "time", lambda: now_s + 180)
    with mine.counting() as counted:
        counted("key:more").add(2, 0, now_s + 180)
        assert counted("key:more").used(0, now_s + 180) == 2
    for number in range(3):
        with mine.counting() as counted:
            assert counted(f"key:{number}").used(0, now_s + 180) == 0
