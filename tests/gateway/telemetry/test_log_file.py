"""The log and the metrics of a gateway: bounded and documented."""

import os
import signal
from pathlib import Path

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import eventually, gateway, processes

from freehold.gateway.telemetry import meters
from freehold.gateway.telemetry.exposition import GAUGES, LABELLED_GAUGES
from freehold.gateway.telemetry.log_file import KEPT, look
from freehold.gateway.telemetry.meters import Meters

pytestmark = pytest.mark.process


@pytest.fixture
def output(tmp_path):
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    yield file
    os.close(file)


def test_a_long_file_is_renamed_and_few_are_kept(tmp_path, output):
    path = tmp_path / "log"
    for turn in range(6):
        os.write(output, b"%d" % turn * 100)
        look(path, rotated_bytes=99, outputs=(output,))
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["log", *(f"log.{number}" for number in range(1, KEPT + 1))]
    assert path.read_bytes() == b"" and (tmp_path / "log.1").read_bytes() == b"5" * 100
    look(path, rotated_bytes=99, outputs=(output,))
    assert not (tmp_path / "log.4").exists()


def test_a_rotation_that_signals_every_process_ends_none(upstream, tmp_path):
    """As logrotate does it with `postrotate`: rename, then SIGHUP."""
    log = tmp_path / "gateway.log"
    with gateway(upstream, tmp_path, log_requests=True, workers=2) as running:
        post(running, QUESTION)
        eventually(lambda: '"request"' in log.read_text())
        before = {one.pid for mark in ("worker", "recorder") for one in processes(running, mark)}
        for turn in range(3):
            log.rename(tmp_path / f"gateway.log.{turn + 1}")
            for pid in (running.process.pid, *before):
                os.kill(pid, signal.SIGHUP)
            eventually(log.exists)

            def goes_on():
                post(running, QUESTION)
                return '"request"' in log.read_text()

            eventually(goes_on)
        assert before == {one.pid for mark in ("worker", "recorder") for one in processes(running, mark)}


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
