"""Training itself is in tests/training and tests/workflows/train."""

import click
import msgspec
import pytest

from freehold.cli.train.train import command, print_leaks, print_search
from freehold.types.leak import LeakRate, LeakReport
from freehold.types.training import Search, SearchTrial


def test_mistakes(refused, freehold, traffic, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused("train", message="no dataset", hint="freehold dataset build")
    freehold("dataset", "build")
    refused(
        "train",
        "--dataset",
        "zz",
        message="no dataset has an id starting with zz",
        hint="freehold dataset list shows them",
    )
    refused(
        "train", "--base", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE"
    )
    assert "'rlhf' is not one of" in freehold("train", "--method", "rlhf").err


@pytest.mark.parametrize("complete", [True, False])
def test_a_search_is_a_table_with_the_best_marked(capsys, monkeypatch, complete):
    monkeypatch.setenv("COLUMNS", "120")
    trials = (
        SearchTrial(rung=0, r=8, learning_rate=1e-4, epochs=1.0, failed="the loss is not a number"),
        SearchTrial(rung=0, r=16, learning_rate=2e-4, epochs=1.0, validation_loss=0.5, validation_score=0.75),
    )
    print_search(
        Search(id="s", base_model="test/tiny", dataset_id="d", trials=trials, best=1, complete=complete)
    )
    shown = capsys.readouterr()
    header, first, second = shown.out.splitlines()
    assert header.split() == ["rung", "rank", "rate", "epochs", "right", "loss", "steps", "seconds"]
    assert "the loss is not a number" in first
    assert second.split()[:6] == ["best", "1", "16", "0.0002", "1", "75.0%"]
    assert ("the same command goes on" in shown.err) is not complete


@pytest.mark.parametrize("as_json", [False, True])
def test_a_leak_test_is_a_line_a_kind(capsys, as_json):
    rate = LeakRate(what="planted 1 time", secrets=8, extracted=0, by_base=0, ci_low=0.0, ci_high=0.324)
    report = LeakReport(
        id="l", base_model="b", dataset_id="d", trained_id="t", attempts=5, rates=(rate,), notes=("so it is",)
    )
    with click.Context(command, info_name="train"):
        print_leaks(report, as_json=as_json)
    shown = capsys.readouterr()
    if as_json:
        assert msgspec.json.decode(shown.out, type=LeakReport) == report
    else:
        assert shown.out == "planted 1 time: 0 of 8 (0.0%, 95 % interval 0.0 to 32.4 %)\n"
        assert shown.err == "note: so it is\n"
