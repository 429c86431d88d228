"""Jobs asked for without a loop."""

import gc
import time

import psutil
import pytest

from freehold.bounded.pool import BoundedCaller, OutOfBoundsError

pytestmark = pytest.mark.process

LIMITS = {"cpu_s": 0.3, "wall_s": 20.0, "memory_bytes": 1 << 30}


def nurseries():
    return [
        child
        for child in psutil.Process().children()
        if "freehold.bounded.nursery" in " ".join(child.cmdline())
    ]


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
