"""The shim does what it is told, to the files it is told, in a process that runs."""

import errno
import os
import subprocess
import sys

import pytest
from tests.faults import shim

pytestmark = pytest.mark.skipif(shim.why_not() is not None, reason=str(shim.why_not()))

CHILD = """
import os, sys, time
inside, outside = (os.open(name, os.O_RDWR | os.O_CREAT) for name in sys.argv[1:3])

def said(act):
    try:
        act()
        return "0"
    except OSError as error:
        return str(error.errno)

for line in sys.stdin:
    began = time.monotonic()
    answer = {
        "write": lambda: said(lambda: os.write(inside, b"x")),
        "pwrite": lambda: said(lambda: os.pwrite(inside, b"x", 0)),
        "outside": lambda: said(lambda: os.write(outside, b"x")),
        "fsync": lambda: said(lambda: os.fsync(inside)),
        "fdatasync": lambda: said(lambda: os.fdatasync(inside)),
        "truncate": lambda: said(lambda: os.ftruncate(inside, 0)),
        "allocate": lambda: said(lambda: os.posix_fallocate(inside, 0, 10)),
        "open": lambda: said(lambda: open(sys.argv[1], "r+").close()),
        "read": lambda: said(lambda: open(sys.argv[1]).close()),
        "time": lambda: str(time.time()),
    }[line.strip()]()
    print(answer, time.monotonic() - began, flush=True)
"""


@pytest.fixture
def faulty(tmp_path):
    switch = shim.Shim(tmp_path, [tmp_path / "unrelated", tmp_path / "in"])
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path / "inside", tmp_path / "outside"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **switch.environment},
    )

    def do(what):
        process.stdin.write(f"{what}\n")
        process.stdin.flush()
        answer, seconds = process.stdout.readline().split()
        return float(answer), float(seconds)

    do("read")  # it is up
    yield switch, lambda what: do(what)[0], do
    process.stdin.close()
    process.stdout.close()
    process.wait(10)


def test_the_nth_write_fails_and_only_below_the_paths(faulty):
    switch, do, _ = faulty
    switch.fail(shim.WRITE, errno.ENOSPC, first=3, times=2)
    assert [do(name) for name in ("write", "pwrite", "write", "allocate", "write")] == [
        0,
        0,
        errno.ENOSPC,
        errno.ENOSPC,
        0,
    ]
    assert (switch.calls, switch.failed) == (5, 2)
    switch.fail(shim.WRITE, errno.EIO)
    assert [do(name) for name in ("write", "pwrite", "outside", "fsync", "open")] == [5, 5, 0, 0, 0]
    switch.works()
    assert do("write") == 0


@pytest.mark.parametrize(
    ("kind", "calls"),
    [(shim.SYNC, ("fsync", "fdatasync")), (shim.TRUNCATE, ("truncate",)), (shim.OPEN, ("open",))],
)
def test_other_calls_fail_as_well(faulty, kind, calls):
    switch, do, _ = faulty
    switch.fail(kind, errno.EROFS)
    assert {do(name) for name in calls} == {errno.EROFS}
    assert do("write") == 0 and do("read") == 0


def test_calls_are_slow(faulty):
    switch, _, do = faulty
    switch.slow(shim.SYNC | shim.WRITE, 0.2)
    assert do("fsync")[1] >= 0.2 and do("write")[1] >= 0.2
    switch.works()
    assert do("write")[0] == 0


@pytest.mark.parametrize("step", [40 * 86_400.5, -40 * 86_400.5])
def test_the_clock_steps_both_ways_and_back(faulty, step):
    switch, do, _ = faulty
    before = do("time")
    switch.step_clock(step)
    assert abs(do("time") - before - step) < 60
    switch.step_clock(0)
    assert abs(do("time") - before) < 60
