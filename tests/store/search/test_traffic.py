from datetime import timedelta

import pytest
from tests.store.examples import NOON, trace

from freehold.store.search.traffic import traffic


def seen(number, **changes):
    values = {"source": "gateway", "route": "r", "total_ms": 100.0, **changes}
    return trace(number, at=NOON + timedelta(seconds=number), **values)


def test_requests_are_counted_by_stretch_and_arm(store):
    store.add_traces(seen(number) for number in range(100))
    store.add_traces(seen(number, arm="candidate", status=500) for number in range(100, 130))
    store.add_traces(
        seen(number, arm="candidate", parent_id="x", fallback="timeout") for number in range(130, 150)
    )
    store.add_traces(seen(number, route="other") for number in range(150, 160))
    store.add_traces([trace(170), seen(171, route=None)])
    found = traffic(store.database, since=NOON, until=NOON + timedelta(seconds=480), route="r")
    assert (found.bucket_s, len(found.buckets), found.unindexed) == (10, 49, 0)
    assert found.buckets[0].at == NOON.replace(microsecond=0)
    assert [one.incumbent for one in found.buckets[:11]] == [10] * 10 + [0]
    assert [(one.candidate, one.errors) for one in found.buckets[10:13]] == [(10, 10)] * 3
    assert sum(one.mirrored for one in found.buckets) == 20 == found.mirrored.requests
    assert (found.incumbent.requests, found.incumbent.errors, found.incumbent.fallbacks) == (100, 0, 0)
    assert (found.candidate.errors, found.mirrored.fallbacks, found.mirrored.errors) == (30, 20, 20)
    assert (found.incumbent.prompt_tokens, found.incumbent.completion_tokens) == (900, 200)
    assert found.candidate.p95_ms is None and found.incumbent.p50_ms == pytest.approx(100, rel=0.07)
    everything = traffic(store.database, since=NOON, until=NOON + timedelta(seconds=480))
    assert everything.incumbent.requests == 111  # not what was imported


@pytest.mark.parametrize(
    ("window", "width"),
    [
        (timedelta(seconds=1), 10),
        (timedelta(minutes=15), 20),
        (timedelta(hours=1), 80),
        (timedelta(hours=6), 600),
        (timedelta(hours=24), 1800),
        (timedelta(days=7), 4 * 3600),
        (timedelta(days=8), 4 * 3600),
        (timedelta(days=9), 86_400),
        (timedelta(days=90), 2 * 86_400),
    ],
)
def test_a_window_of_any_length_holds_each_request_once(store, window, width):
    store.add_traces(seen(-number) for number in range(1, 50))
    found = traffic(store.database, since=NOON - window, until=NOON)
    assert found.bucket_s == width and len(found.buckets) <= 50
    inside = [number for number in range(1, 50) if found.buckets[0].at <= NOON - timedelta(seconds=number)]
    assert found.incumbent.requests == len(inside) >= 1
    assert sum(one.incumbent for one in found.buckets) == len(inside)


def test_counts_stay_when_traces_are_forgotten(store):
    store.add_traces(seen(number) for number in range(5))
    traffic(store.database, since=NOON, until=NOON + timedelta(minutes=1))
    store.delete_traces(before=NOON + timedelta(days=1))
    assert traffic(store.database, since=NOON, until=NOON + timedelta(minutes=1)).incumbent.requests == 5
