"""The numeric scorer, on small cases and on published grades of real outputs."""

import asyncio
import json

import pytest
from tests.evals.scorers.conftest import score, value

from freehold.errors import ConfigError
from freehold.evals.scorers import make
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult


@pytest.mark.parametrize(
    ("answer", "reference", "right", "options"),
    [
        ("12, then 13", "13", 1.0, {}),
        ("12, then 13", "12", 1.0, {"take": "first"}),
        ("-5", "5", 0.0, {}),
        ("\u22125", "-5", 1.0, {}),
        ("the answer is (-5)", "-5", 1.0, {}),
        ("pages 5-7", "7", 1.0, {}),
        ("$18", "18", 1.0, {"take": "only"}),
        ("**18**", "18", 1.0, {"take": "only"}),
        ("1e3", "1000", 1.0, {}),
        ("3.14159", "3.14", 0.0, {}),
        ("3.14159", "3.14", 1.0, {"absolute": 0.002}),
        ("102", "100", 1.0, {"relative": 0.02}),
        ("steps 1 2\n#### 42", "#### 42", 1.0, {"after": "####"}),
        ("it is 42", "#### 42", 0.0, {"after": "####"}),
        ("1.5 km", "1500 m", 1.0, {"units": {"km": 1000, "m": 1}}),
        ("1500", "1.5 km", 1.0, {"units": {"km": 1000, "m": 1}}),
        ("3/4", "0.75", 1.0, {"fractions": True}),
        ("1.234,5", "1234,5", 1.0, {"decimal_comma": True}),
        ("0.1 + 0.2 is 0.3", "0.30", 1.0, {}),
        ("version A4", "4", 0.0, {}),
    ],
)
def test_numeric(answer, reference, right, options):
    assert value("numeric", answer, reference, **options) == right


def test_numeric_without_a_number():
    given = score("numeric", "none at all", "4")
    assert (given.value, given.format_ok) == (0.0, False)
    assert score("numeric", "4", "four").value is None
    with pytest.raises(ConfigError, match="absolute is -1"):
        make("numeric", {"absolute": -1})


def test_grades_are_scored_by_distance_with_exactness_beside_it():
    grade = {"scale": [0, 5]}
    assert value("numeric", "4", "5", **grade) == pytest.approx(0.8)
    assert [value("numeric", given, "0", **grade) for given in ("0", "5", "9")] == [1.0, 0.0, 0.0]
    assert score("numeric", "5", "5", **grade).parts == {"exact": 1.0}
    off = score("numeric", "2", "5", **grade)
    assert (off.parts, off.reason) == ({"exact": 0.0}, "off_by: 3")
    assert value("numeric", "4.5", "5", **grade, absolute=0.5) == 1.0
    assert not make("numeric", grade).binary
    results = [
        EvalResult(sample_id="s", model="m", output=given, score=score("numeric", given, "5", **grade))
        for given in ("5", "4", "none", "5")
    ]
    scorer = type(make("numeric", grade))
    (note,) = scorer.own_notes(grade, results, results[:1])
    assert note.endswith("exactly right (incumbent, candidate): 50.0%, 100.0%.")
    assert scorer.own_notes({}, results, results) == []
    with pytest.raises(ConfigError, match="the lowest and the highest"):
        make("numeric", {"scale": [5, 5]})


MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@pytest.fixture(scope="module")
def solutions(shared_data):
    lines = (shared_data("gsm8k") / "example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_all_5276_grades_agree_with_the_published_ones(solutions):
    scorer = make("numeric", {"after": "A:", "take": "only"})
    sample = Sample(id="s", messages=())

    async def disagreements():
        found = []
        for row in solutions:
            for model in MODELS:
                given = await scorer.score(sample, row[model]["solution"], row["ground_truth"])
                if (given.value == 1.0) is not row[model]["is_correct"]:
                    found.append((model, row["question"], given))
        return found

    assert len(solutions) * len(MODELS) == 5276
    assert asyncio.run(disagreements()) == []


def test_solutions_without_an_answer_are_format_failures(solutions):
    scorer = make("numeric", {"after": "A:", "take": "only"})
    cut = [row[model] for row in solutions for model in MODELS if "A:" not in row[model]["solution"]]
    given = [asyncio.run(scorer.score(Sample(id="s", messages=()), one["solution"], "A: 1")) for one in cut]
    assert len(given) == 11
    assert not any(one.format_ok for one in given)
