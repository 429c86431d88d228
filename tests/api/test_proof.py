"""Verdicts from values and from files: the same numbers as the commands'."""

import json

import pytest

import freehold
from freehold.errors import UsageError

PAIRS = [(1, 1)] * 180 + [(1, 0)] * 5 + [(0, 1)] * 15


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))


def test_power_plans():
    plan = freehold.power(0.02, n=500, discordance=0.05)
    assert (
        plan.margin == 0.02 and plan.rows[0].power_at_n is not None and "500 held-out items" in plan.sentence
    )
    with pytest.raises(UsageError):
        freehold.power(0.02, icc=2)


def test_values_and_a_file_of_the_same_pairs_give_the_same_verdict(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"id": n, "a": a, "b": b}) + "\n" for n, (a, b) in enumerate(PAIRS)))
    of_values = freehold.compare(PAIRS, margin=0.05)
    assert of_values.verdict == "promote" and of_values.a_only == 5 and of_values.b_only == 15
    assert of_values == freehold.compare(file, margin=0.05) == freehold.compare(str(file), margin=0.05)


@pytest.mark.parametrize(
    ("pairs", "more", "message"),
    [
        ([(1, 1, 1)], {}, "two for each item"),
        ([1, 0], {}, "two for each item"),
        ([(1, 2)], {}, "outside"),
        ([(1, 1)], {"slices": ["language"]}, "sliced by values"),
        ([(1, 1)], {"clusters": ["a", "b"]}, "clusters"),
        ("pairs.jsonl", {"clusters": ["a"]}, "itself"),
        ([(0, 0)] * 50, {"margin": 0.5}, "no candidate could fail"),
        ([(1, 1)], {"margin": 2}, "margin is 2"),
    ],
)
def test_mistakes_are_told(pairs, more, message):
    with pytest.raises(UsageError, match=message):
        freehold.compare(pairs, **{"margin": 0.05, **more})
