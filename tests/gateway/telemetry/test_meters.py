import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from freehold.gateway.telemetry import meters
from freehold.gateway.telemetry.gauges import GAUGES, LABELLED_GAUGES
from freehold.gateway.telemetry.meters import Meters, leave_word, read_all, run_folders, totals_of
from freehold.processes import described

pytestmark = pytest.mark.process

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def test_a_process_that_is_gone_keeps_its_counters_only(tmp_path, monkeypatch):
    numbers = Meters()
    numbers.in_flight = 4
    numbers.count("freehold_retries", "e")
    numbers.write(tmp_path)
    gauges = {"freehold_in_flight": 4.0, "freehold_held_bytes": 0.0, "freehold_cache_bytes": 0.0}
    assert read_all(tmp_path)[0].gauges == gauges
    monkeypatch.setattr(meters, "_is_alive", lambda pid: False)
    (gone,) = read_all(tmp_path)
    assert gone.gauges == {} and gone.counters == {"freehold_retries": [(("e",), 1.0)]}


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


def test_who_knows_the_spools_finds_the_numbers(tmp_path):
    spool, run_folder = tmp_path / "state" / "spool", tmp_path / "run"
    assert totals_of(spool, "freehold_retries") == {}
    run_folder.mkdir()
    leave_word(spool, run_folder)
    for owner in ("one", "two"):
        numbers = Meters(owner)
        numbers.count("freehold_retries", "e")
        numbers.write(run_folder)
    assert totals_of(spool, "freehold_retries") == {("e",): 2.0}
    (run_folder / "meters-0-broken.msgpack").write_bytes(b"half")
    assert totals_of(spool, "freehold_retries") == {}


def test_the_word_of_a_killed_gateway_is_taken_away(tmp_path):
    spool, run_folder = tmp_path / "spool", tmp_path / "run"
    run_folder.mkdir()
    leave_word(spool, run_folder)
    assert run_folders(spool) == [run_folder]
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    word = msgspec.json.decode((spool / "run.run").read_bytes())
    (spool / "run.run").write_bytes(msgspec.json.encode({**word, **described(child.pid)}))
    assert run_folders(spool) == [run_folder]
    child.kill()
    child.communicate()
    assert run_folders(spool) == [] and not list(spool.iterdir())
    (spool / "half.run").write_bytes(b"{")
    assert run_folders(spool) == []


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


def test_a_label_that_is_too_long_is_one_of_the_others():
    assert Meters().key_label("k" * 300) == meters.OTHER


def test_the_waits_before_and_at_an_endpoint_are_counted_apart():
    numbers = Meters()
    for added_s, upstream_s in ((0.0004, 0.3), (0.003, 0.3), (0.003, None)):
        numbers.count_waits("r", "e", added_s, upstream_s)
    numbers.count_waits("r", "other", 0.003, 0.01)
    told = numbers.snapshot().histograms
    ((labels, counts, total),) = told["freehold_added_seconds"]
    assert labels == ("r",) and counts[:5] == [1, 0, 0, 3, 0] and round(total, 4) == 0.0094
    assert {(labels[0], sum(counts)) for labels, counts, _ in told["freehold_upstream_seconds"]} == {
        ("e", 2),
        ("other", 1),
    }


def test_what_is_stated_is_a_gauge_of_the_process():
    numbers = Meters()
    numbers.stated["freehold_config_stale"] = 1.0
    assert numbers.snapshot().gauges["freehold_config_stale"] == 1.0
