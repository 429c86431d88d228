from datetime import UTC, datetime, timedelta

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


def test_a_lead_that_holds_for_a_day_of_running_is_believed():
    steps = CONFIRM // HOUR + 1
    clock, right, said = walk(RetentionClock(believed=START), *[(3 * DAY, HOUR)] * steps)
    assert clock.believed == right + 3 * DAY and "believed now" in said[-1]


def test_only_the_smallest_lead_of_that_day_is_believed():
    """Off every night: each morning the lead is larger; in between the clock is 40 days wrong once."""
    leads = [8 * HOUR] * 10 + [16 * HOUR] * 10 + [40 * DAY] * 2 + [16 * HOUR] * 3
    clock, right, _ = walk(RetentionClock(believed=START), *[(lead, HOUR) for lead in leads])
    assert clock.believed == right + 8 * HOUR


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
