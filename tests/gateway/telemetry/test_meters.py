from pathlib import Path

import pytest

from freehold.gateway.telemetry import meters
from freehold.gateway.telemetry.exposition import GAUGES, LABELLED_GAUGES
from freehold.gateway.telemetry.meters import Meters

pytestmark = pytest.mark.process

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def test_every_metric_is_documented():
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    documented = {row[1].strip(" `"): (row[2].strip(), row[3].strip()) for row in rows}
    labelled = {
        **meters.COUNTERS,
        **meters.HISTOGRAMS,
        **LABELLED_GAUGES,
        **{name: (text, ()) for name, text in GAUGES.items()},
    }
    assert documented == {name: (text, ", ".join(labels)) for name, (text, labels) in labelled.items()}


def test_what_clients_may_choose_makes_a_bounded_number_of_series():
    numbers = Meters()
    for number in range(500):
        label = numbers.model_label(f"model-{number}")
        numbers.count_answer("", "e", "incumbent", 200, None, 0.01, label, numbers.key_label(f"key-{number}"))
    assert numbers.model_label("x" * 10_000) == meters.OTHER == numbers.model_label("model-400")
    counted = numbers.snapshot().counters["freehold_model_requests"]
    assert len(counted) == meters.LABEL_VALUES_MAX + 1 and sum(value for _, value in counted) == 500
    assert dict(counted)["", "incumbent", "other", "other", "200"] == 400
    assert sum(value for _, value in numbers.snapshot().counters["freehold_requests"]) == 500
