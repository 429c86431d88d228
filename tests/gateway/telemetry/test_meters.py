from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from freehold.gateway.telemetry import meters
from freehold.gateway.telemetry.exposition import exposition
from freehold.gateway.telemetry.meters import Meters, read_all

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def test_the_numbers_of_all_processes_are_added_up(tmp_path):
    one, other = Meters(), Meters()
    for numbers in (one, other):
        numbers.count("freehold_requests", "r", "e", "incumbent", "200", by=3)
        numbers.observe("freehold_request_seconds", 0.02, "r", "incumbent")
    other.observe("freehold_request_seconds", 999, "r", "incumbent")
    text = exposition([one.snapshot(), other.snapshot()]).decode()
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["freehold_requests_total", None] == 6
    assert samples["freehold_request_seconds_bucket", "0.01"] == 0
    assert samples["freehold_request_seconds_bucket", "0.025"] == 2
    assert samples["freehold_request_seconds_bucket", "+Inf"] == 3
    assert samples["freehold_request_seconds_count", None] == 3


def test_a_process_that_is_gone_keeps_its_counters_only(tmp_path, monkeypatch):
    numbers = Meters()
    numbers.in_flight = 4
    numbers.count("freehold_retries", "e")
    numbers.write(tmp_path)
    assert read_all(tmp_path)[0].gauges == {"freehold_in_flight": 4.0}
    monkeypatch.setattr(meters, "_is_alive", lambda pid: False)
    (gone,) = read_all(tmp_path)
    assert gone.gauges == {} and gone.counters == {"freehold_retries": [(("e",), 1.0)]}


def test_every_metric_is_documented():
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    documented = {row[1].strip(" `"): (row[2].strip(), row[3].strip()) for row in rows}
    labelled = {
        **meters.COUNTERS,
        **meters.HISTOGRAMS,
        **{name: (text, ()) for name, text in meters.GAUGES.items()},
    }
    assert documented == {name: (text, ", ".join(labels)) for name, (text, labels) in labelled.items()}
