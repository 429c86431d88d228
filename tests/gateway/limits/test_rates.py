"""Rates of a sliding minute and slots of requests at once, counted by one worker and by several."""

import asyncio
import multiprocessing
import os
import struct
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.limits import limiter
from freehold.gateway.limits.limiter import Limiter, Slots
from freehold.gateway.limits.rates import WORDS, RateCounter, SharedRates
from freehold.processes import start_of
from freehold.types.route import Limits
from freehold.wire.errors import ApiError, RateState


def test_the_wait_that_is_advised_is_enough(monkeypatch, tmp_path):
    now = 150.0
    monkeypatch.setattr(limiter.time, "monotonic", lambda: now)

    async def run():
        nonlocal now
        gate = Limiter(tmp_path)
        limits = Limits(requests_per_minute=10)
        for _ in range(10):
            (await gate.admit([("key:a", limits)]))()
        with pytest.raises(ApiError) as refused:
            await gate.admit([("key:a", limits)])
        assert refused.value.status == 429
        assert refused.value.rate == RateState("requests", 10, 0, refused.value.retry_after_s)
        now += refused.value.retry_after_s
        await gate.admit([("key:a", limits)])

    asyncio.run(run())


def test_tokens_are_reserved_before_and_settled_after(tmp_path):
    async def run():
        one, other = Limiter(tmp_path), Limiter(tmp_path)
        wanted = [("key:a", Limits(tokens_per_minute=1000))]
        first = await one.admit(wanted, tokens=600)
        with pytest.raises(ApiError, match="1000 tokens a minute") as refused:
            await other.admit(wanted, tokens=600)
        assert refused.value.rate[:3] == ("tokens", 1000, 400)
        first.settle(100)
        one.settle()  # as it does four times a second: the other knows
        second = await other.admit(wanted, tokens=600)
        second.settle(800)
        second.settle(50)
        other.settle()
        last = await one.admit(wanted, tokens=10**6)
        with pytest.raises(ApiError):
            await one.admit(wanted, tokens=1)
        last.settle(0)
        alone = await one.admit(wanted, tokens=10**6)
        alone.settle(50)
        with pytest.raises(ApiError):
            await other.admit(wanted, tokens=0)

    asyncio.run(run())


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=60), st.randoms())
def test_tokens_overrun_a_limit_by_one_answer_at_most(tmp_path_factory, answers, random):
    """However many run at once, and in whatever order they end, as long as none uses more than was reserved for it."""
    folder = tmp_path_factory.mktemp("run")

    async def run():
        gate, wanted, running, used, largest = (
            Limiter(folder),
            [("key:a", Limits(tokens_per_minute=1000))],
            [],
            0,
            0,
        )
        for reserved, share in answers:
            tokens = min(share, reserved)
            try:
                running.append((await gate.admit(wanted, tokens=reserved), tokens))
            except ApiError:
                if running:
                    admission, took = running.pop(random.randrange(len(running)))
                    admission.settle(took)
                continue
            used, largest = used + tokens, max(largest, tokens)
            assert used <= 1000 + largest
        for admission, took in running:
            admission.settle(took)
        assert used <= 1000 + largest

    asyncio.run(run())


def new_counter(words=None):
    return RateCounter(memoryview(bytearray(words or 8 * WORDS)).cast("q"))


def used(counter, now_s):
    counter.advance(now_s)
    return counter.used(0)


@given(st.integers(1, 40), st.lists(st.tuples(st.floats(0, 8), st.integers(1, 5)), min_size=1, max_size=300))
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


@given(st.integers(1, 30), st.lists(st.tuples(st.floats(0, 30), st.integers(1, 4)), min_size=1, max_size=60))
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
            with counts.locked():
                counts.counter(name, now_s).add(requests, 2 * requests)
    for name in "abc":
        found = []
        for counts in (alone, *workers):
            with counts.locked():
                counter = counts.counter(name, now_s)
                found.append((counter.used(0), counter.used(1)))
        assert len(set(found)) == 1, found
    for worker in (alone, *workers):
        worker.close()


def _take(folder, limit, tries, taken):
    mine = SharedRates(folder)
    count = 0
    for _ in range(tries):
        try:
            with mine.locked():
                counter = mine.counter("key:a", 1_000_000.0)
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
    with one.locked():
        one.counter("key:a", now_s).add(7, 0)
    next(tmp_path.glob("rates-*")).unlink()
    for find in (lambda: one, lambda: other, lambda: SharedRates(tmp_path)):
        with (page := find()).locked():
            page.counter("key:a", now_s).add(1, 0)
    with one.locked():
        assert one.counter("key:a", now_s).used(0) == 10


def test_pages_that_are_laid_out_otherwise_are_apart(tmp_path):
    now_s = time.monotonic()
    for cells in (8, 16):  # as a worker finds it that was renewed from another version
        with (page := SharedRates(tmp_path, cells=cells)).locked():
            assert page.counter("key:a", now_s).used(0) == 0
            page.counter("key:a", now_s).add(7, 0)


def _hold(folder, ready, go):
    slots = Slots(folder, "route:r")
    took = [slots.acquire(3) for _ in range(2)]
    ready.put(took.count(True))
    go.wait(20)


@pytest.mark.process
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


@pytest.mark.process
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
