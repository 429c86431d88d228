from datetime import UTC, datetime, timedelta

import pytest
from tests.costs.conftest import D

from freehold.costs import traffic
from freehold.errors import UsageError
from freehold.types.trace import Usage


def request(at, prompt=100, completion=10, cached=0):
    return traffic.LoggedRequest(
        at, Usage(prompt_tokens=prompt, completion_tokens=completion, cached_prompt_tokens=cached), 400, 40
    )


def test_traffic_from_a_log():
    start = datetime(2026, 11, 1, tzinfo=UTC)
    log = [request(start + timedelta(hours=hour)) for hour in range(241)]
    found = traffic.from_requests(log)
    assert float(found.requests_per_month) == pytest.approx(241 / 10 * 30.4375)
    assert found.peak_factor == pytest.approx(1.0, abs=0.01)
    assert found.prompt_tokens == 100


def test_a_burst_does_not_say_how_much_a_month_is():
    start = datetime(2026, 11, 1, tzinfo=UTC)
    log = [request(start + timedelta(seconds=second)) for second in range(60)]
    with pytest.raises(UsageError, match="do not tell your monthly traffic"):
        traffic.from_requests(log)
    found = traffic.from_requests(log, requests_per_month=D(5000))
    assert found.requests_per_month == 5000
    assert found.peak_factor == traffic.DEFAULT_PEAK


def test_missing_token_counts_are_estimated_and_said():
    start = datetime(2026, 11, 1, tzinfo=UTC)
    log = [request(start), traffic.LoggedRequest(start + timedelta(days=2), None, 400, 40)]
    found = traffic.from_requests(log)
    assert found.estimated_share == 0.5
    assert found.prompt_tokens == 100


def test_no_traffic_is_an_error():
    with pytest.raises(UsageError, match="no traffic"):
        traffic.from_requests([])


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests_per_month": D(-1)},
        {"requests_per_month": D("1e30")},
        {"peak_factor": 0.0},
        {"prompt_tokens": D(0), "completion_tokens": D(0)},
        {"prompt_tokens": D("NaN")},
        {"cached_prompt_tokens": D(5000)},
    ],
)
def test_impossible_traffic_is_refused(wrong):
    numbers = {"requests_per_month": D(1), "prompt_tokens": D(1000), "completion_tokens": D(1)}
    with pytest.raises(UsageError):
        traffic.stated(**(numbers | wrong))


def test_traces_without_tokens_or_text_price_nothing():
    start = datetime(2026, 11, 1, tzinfo=UTC)
    empty = [traffic.LoggedRequest(start + timedelta(hours=hour), None, 0, 0) for hour in range(48)]
    with pytest.raises(UsageError, match="none of 48 traces has tokens or text"):
        traffic.from_requests(empty)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reasoning_tokens": D(200)}, "reasoning tokens of"),
        ({"batch_share": 1.5}, "in batches makes no sense"),
    ],
)
def test_impossible_reasoning_and_batches_are_refused(changes, says):
    with pytest.raises(UsageError, match=says):
        traffic.stated(requests_per_month=D(1), prompt_tokens=D(1), completion_tokens=D(100), **changes)
