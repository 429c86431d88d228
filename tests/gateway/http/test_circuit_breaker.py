"""When an endpoint is left alone, and when it is asked again."""

import logging

from freehold.gateway.http.circuit_breaker import FORGOTTEN_S, CircuitBreaker


def breaker(failures=2, pause_s=10.0):
    return CircuitBreaker("e", failures=failures, pause_s=pause_s)


def test_it_opens_after_failures_in_a_row():
    one = breaker()
    one.record_failure(100.0)
    assert one.allows(100.0)
    one.record_success()
    one.record_failure(101.0)
    assert one.allows(101.0), "the success in between counts"
    one.record_failure(102.0)
    assert not one.allows(102.0) and not one.allows(111.9)


def test_after_the_pause_one_request_may_try():
    one = breaker()
    for _ in range(2):
        one.record_failure(100.0)
    assert one.allows(110.0) and not one.allows(110.0), "the next ones wait for its outcome"
    one.record_success()
    assert one.allows(110.1) and one.allows(110.1)


def test_a_failed_try_opens_it_again():
    one = breaker()
    for _ in range(2):
        one.record_failure(100.0)
    assert one.allows(110.0)
    one.record_failure(111.0)
    assert not one.allows(120.9) and one.allows(121.0)


def test_it_knows_whether_the_endpoint_was_reached():
    one = breaker(failures=1)
    one.record_failure(1.0, reached=False)
    assert one.unreachable and one.open_until_s
    one.record_failure(2.0)
    assert not one.unreachable


def test_what_failed_is_forgotten_when_nothing_is_asked():
    one = breaker()
    assert not one.keeps_failing(100.0)
    for _ in range(2):
        one.record_failure(100.0)
    assert one.keeps_failing(100.0) and one.keeps_failing(111.0), "nothing better is known after the pause"
    assert not one.keeps_failing(110.0 + FORGOTTEN_S), "an idle gateway tells no alert of it for days"
    one.record_failure(500.0)
    assert one.keeps_failing(510.0)
    one.record_success()
    assert not one.keeps_failing(510.0)


def test_opening_and_closing_are_logged_once(caplog):
    one = breaker()
    with caplog.at_level(logging.INFO, "freehold.gateway"):
        for now in (1.0, 2.0, 3.0):
            one.record_failure(now)
        for _ in range(3):
            one.record_success()
    assert [record.getMessage() for record in caplog.records] == [
        "endpoint e failed 2 times in a row: paused",
        "endpoint e answers again",
    ]
