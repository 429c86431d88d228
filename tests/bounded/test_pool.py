"""Jobs in processes with bounds, asked from an event loop and from none, and the messages between."""

import asyncio
import gc
import socket
import threading
import time

import psutil
import pytest
import uvloop
from tests.bounded.jobs import JOBS

from freehold.bounded.nursery import Head, receive, send, serve
from freehold.bounded.pool import BoundedCaller, BoundedPool, OutOfBoundsError

LIMITS = {"cpu_s": 0.3, "wall_s": 20.0, "memory_bytes": 1 << 30}


def using(scenario, **values):
    async def main():
        pool = BoundedPool("tests.bounded.jobs", **values)
        try:
            await scenario(pool)
        finally:
            pool.close()

    asyncio.run(main())


def children():
    return [child for child in psutil.Process().children(recursive=True) if child.status() != "zombie"]


@pytest.mark.process
def test_a_job_gets_its_parts_and_returns_parts():
    async def scenario(pool):
        assert await pool.run("turn", [b"ab", b"", b"cd"], **LIMITS) == [b"ba", b"", b"dc"]

    using(scenario)


@pytest.mark.process
def test_a_large_part_comes_back_whole_and_its_process_is_not_kept():
    async def scenario(pool):
        first = await pool.run("say", [], **LIMITS)
        assert await pool.run("say", [], **LIMITS) == first
        large = bytes(range(256)) * 80_000
        (turned,) = await pool.run("turn", [large], **{**LIMITS, "cpu_s": 10.0})
        assert turned == large[::-1]
        assert await pool.run("say", [], **LIMITS) != first

    using(scenario, processes=1)


@pytest.mark.process
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_nursery_that_was_killed_while_it_waited_costs_no_job(run):
    async def main():
        pool = BoundedPool("tests.bounded.jobs", processes=1)
        try:
            assert await pool.run("turn", [b"ab"], **LIMITS) == [b"ba"]
            before = children()
            for child in before:
                child.kill()
            psutil.wait_procs(before, timeout=10)
            await asyncio.sleep(0.05)
            async with asyncio.timeout(20):
                assert await pool.run("turn", [b"cd"], **LIMITS) == [b"dc"]
        finally:
            pool.close()

    run(main())


@pytest.mark.process
@pytest.mark.parametrize(
    ("job", "why"), [("backtrack", "time"), ("memory", "memory"), ("die", "died"), ("raise", "failed")]
)
def test_a_job_out_of_its_bounds_is_ended_and_the_next_one_runs(job, why):
    async def scenario(pool):
        with pytest.raises(OutOfBoundsError) as caught:
            await pool.run(job, [], **LIMITS)
        assert caught.value.why == why
        assert await pool.run("turn", [b"ab"], **LIMITS) == [b"ba"]

    using(scenario, processes=1)


@pytest.mark.process
def test_a_job_that_waits_is_ended_by_the_clock():
    async def scenario(pool):
        started = time.monotonic()
        with pytest.raises(OutOfBoundsError, match="time"):
            await pool.run("sleep", [], cpu_s=10.0, wall_s=0.3)
        assert time.monotonic() - started < 30

    using(scenario)


@pytest.mark.process
def test_more_than_may_wait_are_told_at_once():
    async def scenario(pool):
        jobs = [asyncio.create_task(pool.run("sleep", [], cpu_s=10.0, wall_s=0.5)) for _ in range(3)]
        await asyncio.sleep(0)
        ends = await asyncio.gather(*jobs, return_exceptions=True)
        assert sorted(end.why for end in ends) == ["busy", "time", "time"]

    using(scenario, processes=1, waiting=1)


@pytest.mark.process
def test_a_caller_that_leaves_ends_the_job_and_no_process_is_left():
    async def scenario(pool):
        task = asyncio.create_task(pool.run("sleep", [], cpu_s=10.0, wall_s=3.0))
        while not any("freehold.bounded.nursery" in child.cmdline() for child in children()):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await pool.run("turn", [b"ab"], **LIMITS) == [b"ba"]

    using(scenario, processes=1)
    deadline = time.monotonic() + 20
    while children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not children()


@pytest.mark.process
def test_its_processes_know_no_secret_of_the_one_that_asks(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "sk-secret")

    async def scenario(pool):
        await pool.run("say", [], **LIMITS)
        assert children() and not any("SHOP_KEY" in child.environ() for child in children())

    using(scenario)


@pytest.mark.process
def test_a_request_that_is_given_up_while_its_process_starts_leaves_none():
    before = len(children())

    async def scenario(pool):
        for turns in range(6):
            asking = asyncio.ensure_future(pool.run("say", [], **LIMITS))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        assert await pool.run("turn", [b"ab"], **LIMITS) == [b"ba"], "and the pool goes on"

    using(scenario)
    deadline = time.monotonic() + 30
    while len(children()) > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(children()) <= before


@pytest.mark.process
def test_a_runner_is_reused_until_it_is_ended():
    left, right = socket.socketpair()
    thread = threading.Thread(target=serve, args=(JOBS, right))
    thread.start()

    def ask(job, *parts):
        send(left, Head([*map(len, parts)], job, 0.3, 20.0), parts)
        return receive(left)

    first = ask("say")[1]
    assert ask("say")[1] == first
    head, parts = ask("backtrack")
    assert (head.outcome, parts) == ("time", [])
    assert ask("say")[1] != first
    assert ask("unknown")[0].why == "KeyError"
    # The runner has a copy of this end, which no other process than a test has.
    left.shutdown(socket.SHUT_RDWR)
    left.close()
    thread.join(10)
    assert not thread.is_alive()
    right.close()


def nurseries():
    return [
        child
        for child in psutil.Process().children()
        if "freehold.bounded.nursery" in " ".join(child.cmdline())
    ]


@pytest.mark.process
def test_a_job_is_done_one_without_end_is_ended_and_nothing_is_left():
    before = len(nurseries())
    caller = BoundedCaller("tests.bounded.jobs")
    assert caller.run("turn", [b"ab"], **LIMITS) == [b"ba"]
    with pytest.raises(OutOfBoundsError, match="time"):
        caller.run("backtrack", [], **LIMITS)
    assert caller.run("turn", [b"cd"], **LIMITS) == [b"dc"]
    caller.close()
    assert caller.run("turn", [b"ef"], **LIMITS) == [b"fe"]
    del caller
    gc.collect()
    deadline = time.monotonic() + 10
    while len(nurseries()) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(nurseries()) == before


def test_heads_and_parts_arrive_as_they_were_sent():
    left, right = socket.socketpair()
    parts = [b"a" * 3_000_000, b"", b"\x00"]
    head = Head([len(part) for part in parts], job="j", cpu_s=1.5)
    thread = threading.Thread(target=send, args=(left, head, parts))
    thread.start()
    assert receive(right) == (head, parts)
    thread.join()
    left.close()
    assert receive(right) is None
    right.close()


def test_half_a_message_is_an_end_and_silence_is_late():
    left, right = socket.socketpair()
    left.sendall(b"\x00\x00")
    with pytest.raises(TimeoutError):
        receive(right, deadline_s=time.monotonic() + 0.05)
    left.close()
    right.settimeout(None)
    assert receive(right) is None
    right.close()
