import logging
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.store.examples import trace

from freehold.gateway.capture.retention import CONFIRM, SECOND, Moment, Retention, RetentionClock, advance
from freehold.store import default_url, open_store


@pytest.fixture
def store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        yield store


HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
START = 20_000 * DAY
KEEP = 30 * DAY


def walk(clock, *moments):
    """The clock after sweeps at (lead over the right time, running time since the last one)."""
    right, said = START, []
    for lead, running in moments:
        right += running
        clock, line = advance(clock, Moment(wall=right + lead, running=running, place=7), KEEP)
        said.append(line)
    return clock, right, said


def test_a_clock_that_agrees_is_believed():
    clock, right, said = walk(RetentionClock(believed=START), *[(0, 60 * SECOND)] * 5, (HOUR // 2, HOUR))
    assert clock.believed == right + HOUR // 2 and said == [None] * 6


def test_a_jump_forward_is_told_once_and_not_believed():
    clock, right, said = walk(RetentionClock(believed=START), *[(40 * DAY, 60 * SECOND)] * 60)
    assert clock.believed == right
    assert "960 hours ahead" in said[0] and said[1:] == [None] * 59
    clock, right, said = walk(clock, (0, 3600 * SECOND))


def test_a_jump_that_goes_away_leaves_nothing_behind():
    clock, right, said = walk(RetentionClock(believed=START), (40 * DAY, 60 * SECOND), (0, 60 * SECOND))
    assert clock.believed == right and clock.lead is None and clock.steady == 0
    assert "agrees again" in said[1]


def test_a_lead_that_holds_for_a_day_of_running_is_believed():
    steps = CONFIRM // HOUR + 1
    clock, right, said = walk(RetentionClock(believed=START), *[(3 * DAY, HOUR)] * steps)
    assert clock.believed == right + 3 * DAY and "believed now" in said[-1]


def test_only_the_smallest_lead_of_that_day_is_believed():
    """Off every night: each morning the lead is larger; in between the clock is 40 days wrong once."""
    leads = [8 * HOUR] * 10 + [16 * HOUR] * 10 + [40 * DAY] * 2 + [16 * HOUR] * 3
    clock, right, _ = walk(RetentionClock(believed=START), *[(lead, HOUR) for lead in leads])
    assert clock.believed == right + 8 * HOUR


def test_what_comes_while_the_clock_is_back_is_spared_for_the_whole_time():
    clock, right, said = walk(RetentionClock(believed=START, place=4), (-40 * DAY, 60 * SECOND))
    assert clock.believed == right and "set back" in said[0]
    assert [(u.first, u.last) for u in clock.undated] == [(5, None)]
    clock, _, _ = walk(clock, (60 * SECOND, 0))
    assert [(u.first, u.last) for u in clock.undated] == [(5, 7)]
    assert clock.undated[0].until - clock.believed == KEEP
    late = Moment(wall=clock.believed + KEEP + 1, running=KEEP + 1, place=9)
    assert advance(clock, late, KEEP)[0].undated == ()


class Clocks:
    """A system's clock that can be set, and its monotonic clock that cannot."""

    def __init__(self):
        self.wall, self.ran = datetime(2026, 3, 1, tzinfo=UTC), 0.0

    def run(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.ran += seconds

    def retention(self, days, keep_bytes=None):
        return Retention(days, keep_bytes, now=lambda: self.wall, monotonic=lambda: self.ran)


def record(store, clocks, name, count=1):
    store.add_traces(trace(0, id=f"{name}{n}", at=clocks.wall, source="gateway") for n in range(count))


def kept(store):
    return sorted({one.id[0] for one in store.traces()})


@pytest.mark.parametrize("step", [timedelta(days=40), timedelta(days=-40)])
def test_a_step_of_the_clock_deletes_nothing_and_what_is_old_still_goes(store, step):
    clocks = Clocks()
    retention = clocks.retention(30)
    record(store, clocks, "a", 100)
    retention.sweep(store)
    clocks.wall += step
    for _ in range(3):
        clocks.run(60)
        record(store, clocks, "b") if kept(store) == ["a"] else None
        retention.sweep(store)
    retention = clocks.retention(30)  # the recorder starts again, and knows what the last one knew
    retention.sweep(store)
    assert store.count_traces() == 101
    clocks.wall -= step
    for _ in range(29):
        clocks.run(86_400 / 2)
        retention.sweep(store)
    assert store.count_traces() == 101
    for _ in range(40):
        clocks.run(86_400)
        retention.sweep(store)
    assert kept(store) == ([] if step < timedelta(0) else ["b"])


def test_a_first_start_with_a_wrong_clock_deletes_nothing(store):
    clocks = Clocks()
    record(store, clocks, "a", 10)
    clocks.wall += timedelta(days=400)
    clocks.retention(30).sweep(store)
    assert store.count_traces() == 10


def test_much_at_once_is_a_warning_with_numbers(store, caplog):
    clocks = Clocks()
    record(store, clocks, "a", 150)
    clocks.run(60)
    record(store, clocks, "b", 50)
    with caplog.at_level(logging.INFO):
        clocks.retention(0.0003).sweep(store)
    [line] = [record for record in caplog.records if "are forgotten" in record.message]
    assert line.levelno == logging.WARNING and "150 of 200 traces were older than" in line.message


def test_numbers_that_were_meant_for_ever_or_are_below_zero_do_no_harm(store):
    clocks = Clocks()
    record(store, clocks, "a")
    clocks.retention(1e9).sweep(store)
    clocks.retention(-1.0).sweep(store)
    assert store.count_traces() == 1


FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
SWEEPS = """
    import sys, time
    from freehold.gateway.capture.retention import Retention
    from freehold.store import open_store
    retention = Retention(30.0, None)
    with open_store(sys.argv[1]) as store:
        for line in sys.stdin:
            retention.sweep(store)
            print(store.count_traces(), int(time.time()), flush=True)
"""


@pytest.mark.skipif(
    FAKETIME is None or shutil.which("faketime") is None, reason="libfaketime is not installed"
)
def test_a_real_clock_that_jumps_deletes_nothing(tmp_path):
    import textwrap

    url, offset = default_url(tmp_path), tmp_path / "offset"
    offset.write_text("+0d\n")
    with open_store(url) as store:
        store.add_traces(trace(0, id=f"t{n}", at=datetime.now(UTC), source="gateway") for n in range(100))
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3] / "src"),
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    script = [sys.executable, "-c", textwrap.dedent(SWEEPS), url]
    with subprocess.Popen(
        script, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def sweep():
            process.stdin.write("\n")
            process.stdin.flush()
            count, at = map(int, process.stdout.readline().split())
            return count, at - time.time()

        assert sweep()[0] == 100
        for step in ("+40d", "-40d", "+400d", "+0d"):
            offset.write_text(f"{step}\n")
            count, lead = sweep()
            assert count == 100
            assert abs(lead / 86_400 - int(step[:-1])) < 1, "the clock did jump"
        process.stdin.close()


def test_what_came_while_the_clock_was_back_between_two_sweeps_is_spared(store, caplog):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    clocks = {"now": now, "running": 0.0}
    retention = Retention(30, None, now=lambda: clocks["now"], monotonic=lambda: clocks["running"])
    store.add_traces([trace(1, id="a", at=now, source="gateway")])
    retention.sweep(store)
    store.add_traces([trace(2, id="b", at=now - timedelta(days=40), source="gateway")])
    clocks.update(now=now + timedelta(minutes=1), running=60.0)
    retention.sweep(store)
    assert {one.id for one in store.traces()} == {"a", "b"} and "1 traces are dated before" in caplog.text
    clocks.update(now=now + timedelta(days=31), running=31 * 86_400.0)
    store.add_traces([trace(3, id="c", at=clocks["now"], source="gateway")])
    retention.sweep(store)
    assert {one.id for one in store.traces()} == {"c"}, "kept for the whole time, and not longer"


def test_an_imported_trace_is_as_old_as_it_says(store):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    retention = Retention(30, None, now=lambda: now)
    store.add_traces([trace(1, id="a", at=now, source="gateway")])
    retention.sweep(store)
    store.add_traces([trace(2, id="b", at=now - timedelta(days=40), source="import:x")])
    retention.sweep(store)
    assert {one.id for one in store.traces()} == {"a"}
