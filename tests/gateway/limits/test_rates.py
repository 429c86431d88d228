"""Rates of a sliding minute, counted by one worker and by several."""

import multiprocessing
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.limits import rates
from freehold.gateway.limits.rates import LocalRates, RateCounter, SharedRates


def test_what_was_used_counts_for_sixty_seconds_and_is_free_a_second_later():
    counter = RateCounter()
    counter.add(60, 600, 1000.9)
    assert counter.used(0, 1060.9) == 60
    assert counter.used(0, 1061.0) == 0 and counter.used(1, 1061.0) == 0


@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.floats(0, 8), st.integers(1, 5)), min_size=1, max_size=300),
)
def test_no_sixty_seconds_hold_more_than_the_limit(limit, tries):
    """Whenever requests come, and wherever the sixty seconds begin."""
    counter, now_s, let_in = RateCounter(), 12_345.678, []
    for passed_s, at_once in tries:
        now_s += passed_s
        for _ in range(at_once):
            if counter.used(0, now_s) + 1 <= limit:
                counter.add(1, 0, now_s)
                let_in.append(now_s)
    for end_s in let_in:
        assert sum(end_s - 60 <= at_s <= end_s for at_s in let_in) <= limit


@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 4)), min_size=1, max_size=60),
)
def test_the_wait_that_is_told_is_enough_and_not_a_second_too_long(limit, uses):
    counter, now_s = RateCounter(), 500.0
    for passed_s, count in uses:
        now_s += passed_s
        counter.add(count, 0, now_s)
    wait_s = counter.free_in_s(0, limit, 1, now_s)
    later = RateCounter(bytearray(counter_bytes(counter)))
    if counter.used(0, now_s) + 1 <= limit:
        assert wait_s == 0
        return
    assert later.used(0, now_s + wait_s + 1e-6) + 1 <= limit
    earlier = RateCounter(bytearray(counter_bytes(counter)))
    assert earlier.used(0, now_s + wait_s - 0.01) + 1 > limit


def counter_bytes(counter):
    counter.store()
    return counter._buffer


def test_an_answer_takes_the_place_of_what_was_reserved_for_it():
    counter = RateCounter()
    second = counter.add(1, 5000, 1000.0, held=True)
    assert counter.holds(1001.0) and counter.used(1, 1001.0) == 5000
    counter.settle(second, 5000, 120, 1030.0)
    assert not counter.holds(1030.0) and counter.used(1, 1030.0) == 120
    assert counter.used(1, 1061.0) == 0, "tokens count from when they were asked for"
    late = counter.add(1, 50, 1100.0, held=True)
    counter.settle(late, 50, 80, 1170.0)
    assert counter.used(1, 1170.0) == 30, "beyond the minute only what is more than was reserved"


def test_what_a_killed_worker_had_reserved_counts_for_its_minute():
    counter = RateCounter()
    counter.add(1, 5000, 1000.0, held=True)
    assert counter.holds(1060.0) and counter.used(1, 1060.0) == 5000
    assert not counter.holds(1061.0) and counter.used(1, 1061.0) == 0


def test_a_share_stands_in_the_place_of_the_limit_and_none_is_nothing():
    counter = RateCounter()
    assert counter.most(0, 60, shared=False) == 60
    assert counter.most(0, 60, shared=True) == 0, "not known yet"
    counter.set_share(0, 20)
    again = RateCounter(bytearray(counter_bytes(counter)))
    assert (again.most(0, 60, shared=True), again.most(0, 5, shared=True)) == (20, 5)
    again.note_short(0)
    assert again.take_short(0) and not again.take_short(0)


def test_what_a_gateway_before_this_one_let_in_is_spread_over_its_minute():
    counter = RateCounter()
    counter.restore((60, 600), 960.0, 1020.0, 1030.0)
    assert counter.used(0, 1030.0) == pytest.approx(51, abs=2)
    assert counter.used(1, 1081.0) == 0 and counter.take_unreported() == (0, 0)


def test_a_clock_that_was_read_just_before_another_one_forgets_nothing():
    counter = RateCounter()
    counter.add(5, 0, 119.0)
    counter.add(3, 0, 120.0)
    counter.add(2, 0, 119.999)
    assert counter.used(0, 120.0) == 10
    assert counter.take_unreported() == (10, 0) and counter.take_unreported() == (0, 0)


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
    now_s = time.monotonic()
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
    now_s = time.monotonic()
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
    now_s = time.monotonic()
    for number in range(4):
        with mine.counting() as counted:
            counted(f"key:{number}").add(1, 0, now_s)
    with pytest.raises(OSError, match="full"), mine.counting() as counted:
        counted("key:more")
    monkeypatch.setattr(rates.time, "monotonic", lambda: now_s + 180)
    with mine.counting() as counted:
        counted("key:more").add(2, 0, now_s + 180)
        assert counted("key:more").used(0, now_s + 180) == 2
    for number in range(3):
        with mine.counting() as counted:
            assert counted(f"key:{number}").used(0, now_s + 180) == 0


def test_a_share_that_is_looked_at_keeps_its_cell_however_idle_its_name_is(tmp_path, monkeypatch):
    """Another name would have its place, and the next request be refused until the share is told again."""
    recorder, worker = SharedRates(tmp_path, cells=1), SharedRates(tmp_path, cells=1)
    began_s = time.monotonic()
    for passed_s in range(0, 300, 10):
        now_s = began_s + passed_s
        monkeypatch.setattr(rates.time, "monotonic", lambda now_s=now_s: now_s)
        with recorder.counting() as counted:
            if recorder.glance("key:a", now_s) is None:
                assert counted("key:a").used(0, now_s) == 0
                counted("key:a").set_share(0, 20)
    with pytest.raises(OSError, match="full"), worker.counting() as counted:
        counted("key:b")
    with worker.counting() as counted:
        assert counted("key:a").share(0) == 20
