"""The soak's judgement: what is flat, and what adds up. The soak itself is run by hand."""

from collections import Counter

import pytest
from benchmarks.soak.balance import Seen, Stored, lines, parsed
from benchmarks.soak.watch import trend

PAGE = """# TYPE freehold_requests counter
freehold_requests_total{route="r",endpoint="e",arm="incumbent",status="200"} 7
freehold_requests_total{route="r",endpoint="e",arm="candidate",status="200"} 4
freehold_requests_total{route="r",endpoint="e",arm="candidate",status="502"} 0
freehold_refusals_total{code="invalid_api_key"} 2
freehold_client_aborts_total{route="r"} 3
freehold_traces_captured_total 13
freehold_traces_stored_total 13
freehold_shadows_total{route="r",outcome="answered"} 2
freehold_shadows_total{route="r",outcome="busy"} 5
freehold_in_flight 0
"""
SEEN = Seen(answered=10, refused=Counter({"401": 2}), left_before=2, left_within=1, failed=Counter())
STORED = Stored(of_clients=11, of_shadows=2, missing=0)


def broken(seen=SEEN, page=PAGE, stored=STORED):
    return [line.what for line in lines(seen, parsed(page), stored) if not line.holds]


def test_counters_are_read_by_name_and_labels():
    counters = parsed(PAGE)
    assert counters["freehold_requests", "r", "e", "candidate", "200"] == 4
    assert counters["freehold_traces_stored",] == 13
    assert not any(key[0] == "freehold_in_flight" for key in counters)


def test_sums_hold_to_the_last_request():
    assert broken() == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seen": SEEN._replace(answered=11)}, "requests counted with 200 = whole answers + left within"),
        ({"seen": SEEN._replace(refused=Counter({"401": 3}))}, "refusals counted = seen"),
        ({"seen": SEEN._replace(left_before=1)}, "clients counted that left = seen"),
        ({"seen": SEEN._replace(failed=Counter({"500": 1}))}, "requests that failed"),
        ({"stored": STORED._replace(missing=1)}, "whole answers without a trace"),
        ({"stored": STORED._replace(of_clients=10)}, "traces stored = in the store"),
        ({"page": PAGE.replace("captured_total 13", "captured_total 14")}, "traces captured = stored + lost"),
        ({"page": PAGE.replace('busy"} 5', 'failed"} 5')}, "traces of shadows = shadows asked"),
    ],
)
def test_one_request_too_many_or_too_few_is_told(changes, what):
    assert broken(**changes) == [what]


def test_lost_traces_are_told_although_they_are_counted():
    page = PAGE.replace("stored_total 13", "stored_total 12") + 'freehold_traces_lost_total{why="store"} 1\n'
    assert broken(page=page, stored=STORED._replace(of_clients=10)) == ["traces dropped or lost"]


def test_growth_counts_after_the_warm_up():
    times = [float(at) for at in range(0, 400, 10)]
    rising_then_flat = [100 + min(at, 100) for at in times]
    found = trend(times, rising_then_flat)
    assert (found.mean, found.per_hour, found.growth) == (200, 0, 0) and found.is_flat(1)
    leaking = trend(times, [100 + at / 10 for at in times])
    assert leaking.per_hour == pytest.approx(360) and leaking.growth == pytest.approx(29)
    assert not leaking.is_flat(6) and leaking.is_flat(30)


def test_too_few_samples_are_an_error():
    with pytest.raises(ValueError, match="2 samples after the warm-up"):
        trend([0.0, 5.0, 10.0], [1.0, 1.0, 1.0])
