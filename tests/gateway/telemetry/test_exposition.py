"""All workers' numbers as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

from freehold.gateway.telemetry.exposition import exposition
from freehold.gateway.telemetry.gauges import GAUGES, LABELLED_GAUGES
from freehold.gateway.telemetry.meters import COUNTERS, HISTOGRAMS, Meters


def test_the_numbers_of_all_processes_are_added_up(tmp_path):
    one, other = Meters(), Meters()
    for numbers in (one, other):
        for first_byte_s in (None, 0.01, 0.012):
            numbers.count_answer("r", "e", "incumbent", 200, first_byte_s, 0.02)
    other.observe("freehold_request_seconds", 999, "r", "incumbent")
    text = exposition([one.snapshot(), other.snapshot()]).decode()
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["freehold_requests_total", None] == 6
    assert samples["freehold_request_seconds_bucket", "0.01"] == 0
    assert samples["freehold_request_seconds_bucket", "0.025"] == 6
    assert samples["freehold_request_seconds_bucket", "+Inf"] == 7
    assert samples["freehold_request_seconds_count", None] == 7
    assert samples["freehold_first_byte_seconds_bucket", "0.01"] == 2
    assert samples["freehold_first_byte_seconds_count", None] == 4


def test_what_was_never_counted_is_there_without_labels_only():
    text = exposition([]).decode()
    assert "freehold_traces_captured_total 0.0" in text and "freehold_in_flight 0.0" in text
    assert "freehold_requests_total{" not in text
    described = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    assert described == {*(f"{name}_total" for name in COUNTERS), *GAUGES, *LABELLED_GAUGES, *HISTOGRAMS}


def test_gauges_are_added_up_too():
    one, other = Meters(), Meters()
    one.in_flight, other.in_flight = 2, 3
    assert "freehold_in_flight 5.0" in exposition([one.snapshot(), other.snapshot()]).decode()


def test_workers_that_pause_an_endpoint_are_counted():
    one, other, third = Meters(), Meters(), Meters()
    one.open_breakers, other.open_breakers = ("slow", "dead"), ("dead",)
    text = exposition([each.snapshot() for each in (one, other, third)]).decode()
    assert 'freehold_breaker_open{endpoint="dead"} 2.0' in text
    assert 'freehold_breaker_open{endpoint="slow"} 1.0' in text


def test_what_an_alert_waits_for_is_counted_from_zero():
    """Prometheus sees no increase in a counter that is first seen as 1."""
    lines = exposition([]).decode().splitlines()
    assert 'freehold_restarts_total{process="worker",why="ended"} 0.0' in lines
    assert 'freehold_config_reloads_total{result="refused"} 0.0' in lines
    numbers = Meters()
    numbers.count("freehold_restarts", "worker", "ended")
    numbers.count("freehold_restarts", "worker", "another reason")
    lines = exposition([numbers.snapshot()]).decode().splitlines()
    assert 'freehold_restarts_total{process="worker",why="ended"} 1.0' in lines
    assert 'freehold_restarts_total{process="worker",why="another reason"} 1.0' in lines
