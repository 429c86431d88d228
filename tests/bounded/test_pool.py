"""Jobs in processes that limits end, asked for from a loop."""

import asyncio
import time

import psutil
import pytest
import uvloop

from freehold.bounded.pool import BoundedPool, OutOfBoundsError

pytestmark = pytest.mark.process

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


def test_a_job_gets_its_parts_and_returns_parts():
    async def scenario(pool):
        assert await pool.run("turn", [b"ab", b"", b"cd"], **LIMITS) == [b"ba", b"", b"dc"]

    using(scenario)


def test_a_large_part_comes_back_whole_and_its_process_is_not_kept():
    async def scenario(pool):
        first = await pool.run("say", [], **LIMITS)
        assert await pool.run("say", [], **LIMITS) == first
        large = bytes(range(256)) * 80_000
        (turned,) = await pool.run("turn", [large], **{**LIMITS, "cpu_s": 10.0})
        assert turned == large[::-1]
        assert await pool.run("say", [], **LIMITS) != first

    using(scenario, processes=1)


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


def test_a_job_that_waits_is_ended_by_the_clock():
    async def scenario(pool):
        started = time.monotonic()
        with pytest.raises(OutOfBoundsError, match="time"):
            await pool.run("sleep", [], cpu_s=10.0, wall_s=0.3)
        assert time.monotonic() - started < 30

    using(scenario)


def test_more_than_may_wait_are_told_at_once():
    async def scenario(pool):
        jobs = [asyncio.create_task(pool.run("sleep", [], cpu_s=10.0, wall_s=0.5)) for _ in range(3)]
        await asyncio.sleep(0)
        ends = await asyncio.gather(*jobs, return_exceptions=True)
        assert sorted(end.why for end in ends) == ["busy", "time", "time"]

    using(scenario, processes=1, waiting=1)


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


def test_its_processes_know_no_secret_of_the_one_that_asks(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "sk-secret")

    async def scenario(pool):
        await pool.run("say", [], **LIMITS)
        assert children() and not any("SHOP_KEY" in child.environ() for child in children())

    using(scenario)


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
