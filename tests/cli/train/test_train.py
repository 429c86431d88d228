"""Training itself is in tests/training and tests/workflows/train."""

from freehold.cli.output import show
from freehold.cli.train import leaks_view
from freehold.types.leak import LeakRate, LeakReport


def test_mistakes(refused, freehold, traffic, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused("train", message="no dataset", hint="freehold dataset build")
    freehold("dataset", "build")
    refused(
        "train",
        "--dataset",
        "zz",
        message="no dataset has an id starting with zz",
        hint="known: support ",
    )
    refused(
        "train", "--base", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE"
    )
    assert "one at a time" in freehold("train", "--curve", "--dry-run").err


def test_a_leak_test_is_a_line_a_kind(capsys):
    rate = LeakRate(what="planted 1 time", secrets=8, extracted=0, by_base=0, ci_low=0.0, ci_high=0.324)
    report = LeakReport(
        id="l", base_model="b", dataset_id="d", trained_id="t", attempts=5, rates=(rate,), notes=("so it is",)
    )
    show(leaks_view(report))
    shown = capsys.readouterr()
    assert shown.out == "planted 1 time: 0 of 8 (0.0%, 95 % interval 0.0 to 32.4 %)\n"
    assert shown.err == "note: so it is\n"
