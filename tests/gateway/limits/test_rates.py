"""Rates of a sliding minute, counted by one worker and by several."""

import multiprocessing
import time

from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.limits.rates import WORDS, RateCounter, SharedRates


def new_counter(words=None):
    return RateCounter(memoryview(bytearray(words or 8 * WORDS)).cast("q"))


def used(counter, now_s):
    counter.advance(now_s)
    return counter.used(0)


@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.floats(0, 8), st.integers(1, 5)), min_size=1, max_size=300),
)
def test_no_sixty_seconds_hold_more_than_the_limit(limit, tries):
    """Whenever requests come, and wherever the sixty seconds begin."""
    counter, now_s, let_in = new_counter(), 12_345.678, []
    for passed_s, at_once in tries:
        now_s += passed_s
        for _ in range(at_once):
            if used(counter, now_s) + 1 <= limit:
                counter.add(1, 0)
                let_in.append(now_s)
    for end_s in let_in:
        assert sum(end_s - 60 <= at_s <= end_s for at_s in let_in) <= limit


@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 4)), min_size=1, max_size=60),
)
def test_the_wait_that_is_told_is_enough_and_not_a_second_too_long(limit, uses):
    counter, now_s = new_counter(), 500.0
    for passed_s, count in uses:
        now_s += passed_s
        counter.advance(now_s)
        counter.add(count, 0)
    wait_s = counter.free_in_s(0, limit, 1, now_s)
    later = new_counter(counter.words.tobytes())
    if used(counter, now_s) + 1 <= limit:
        assert wait_s == 0
        return
    assert used(later, now_s + wait_s + 1e-6) + 1 <= limit
    earlier = new_counter(counter.words.tobytes())
    assert used(earlier, now_s + wait_s - 0.01) + 1 > limit


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers(0, 5), st.floats(0, 50)), max_size=40
    )
)
def test_several_workers_count_as_one_does(tmp_path_factory, events):
    """The same uses, by one worker in a page of its own and by four that share one, come to the same."""
    folder = tmp_path_factory.mktemp("run")
    workers = [SharedRates(folder, cells=8) for _ in range(4)]
    alone = SharedRates(tmp_path_factory.mktemp("alone"), cells=8)
    now_s = time.monotonic()
    for worker, name, requests, passed_s in events:
        now_s += passed_s
        for counts in (workers[worker], alone):
            with counts.counting() as counted:
                counted(name, now_s).add(requests, 2 * requests)
    for name in "abc":
        found = []
        for counts in (alone, *workers):
            with counts.counting() as counted:
                counter = counted(name, now_s)
                found.append((counter.used(0), counter.used(1)))
        assert len(set(found)) == 1, found
    for worker in (alone, *workers):
        worker.close()


def _take(folder, limit, tries, taken):
    mine = SharedRates(folder)
    count = 0
    for _ in range(tries):
        try:
            with mine.counting() as counted:
                counter = counted("key:a", 1_000_000.0)
                if counter.used(0) < limit:
                    counter.add(1, 0)
                    count += 1
        except TimeoutError:
            continue  # the gateway refuses a request that meets one
    taken.put(count)


def test_processes_that_ask_at_once_never_take_the_same_request(tmp_path):
    SharedRates(tmp_path).close()  # who finds the page being made gives up after 20 ms
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
        counted("key:a", now_s).add(7, 0)
    (tmp_path / "rates").unlink()
    for find in (lambda: one, lambda: other, lambda: SharedRates(tmp_path)):
        with find().counting() as counted:
            counted("key:a", now_s).add(1, 0)
    with one.counting() as counted:
        assert counted("key:a", now_s).used(0) == 10
