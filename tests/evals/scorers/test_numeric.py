"""Scorers of numbers, of JSON by its fields, and by a judge."""

import asyncio
import json

import pytest
from tests.evals.scorers.conftest import score, value

from freehold.errors import ConfigError
from freehold.evals.scorers import make
from freehold.types.dataset import Message, Sample
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


GOLD = '{"intent": "refund_status", "order_id": null, "urgency": "high", "tags": ["a", "b"]}'


def test_json_fields_reports_each_field():
    given = score(
        "json_fields", '{"intent":"refund_status","order_id":null,"urgency":"low","tags":["a","b"]}', GOLD
    )
    assert given.value == 0.0
    assert given.format_ok
    assert given.parts == {"intent": 1.0, "order_id": 1.0, "urgency": 0.0, "tags": 1.0}
    assert given.reason == "wrong_fields: urgency"


def test_json_fields_overall_mean_and_weights():
    answer = '{"intent":"x","order_id":null}'
    options = {"fields": ["intent", "order_id"], "overall": "mean"}
    assert value("json_fields", answer, GOLD, **options) == 0.5
    assert value("json_fields", answer, GOLD, **options, weights={"intent": 3}) == 0.25
    assert make("json_fields", {}).binary
    assert not make("json_fields", {"overall": "mean"}).binary


def test_json_fields_lists_of_text_are_sets_unless_order_is_the_task():
    permuted = GOLD.replace('["a", "b"]', '["b", "a"]')
    assert value("json_fields", permuted, GOLD) == 1.0
    assert value("json_fields", permuted, GOLD, ordered=["tags"]) == 0.0
    assert value("json_fields", GOLD.replace('["a", "b"]', '["a", "a"]'), GOLD) == 0.0
    assert value("json_fields", '{"at": [2, 1]}', '{"at": [1, 2]}') == 0.0, "numbers have a place each"
    whole = score("json_fields", '["b", "a"]', '["a", "b"]')
    assert (whole.value, whole.parts) == (1.0, {"answer": 1.0})


def test_json_fields_invented_fields_are_wrong_and_absent_ones_are_null():
    gold = '{"city": "Bern", "people": null}'
    for same in ('{"city": "Bern"}', '{"city": "Bern", "people": null, "date": null}'):
        assert value("json_fields", same, gold) == 1.0
        assert value("json_fields", same, gold, fields=["city", "people", "date"]) == 1.0
    invented = '{"city": "Bern", "people": "99", "date": "today"}'
    given = score("json_fields", invented, gold)
    assert (given.value, given.format_ok, given.reason) == (
        0.0,
        True,
        "wrong_fields: people; invented_fields: date",
    )
    given = score("json_fields", invented, gold, fields=["city", "people"], overall="mean")
    assert given.parts == {"city": 1.0, "people": 0.0, "date": 0.0}
    assert given.reason == "wrong_fields: people; invented_fields: date"
    assert value("json_fields", invented, "{}") == 0.0
    loose = {"extra_keys": "ignore"}
    assert value("json_fields", invented, gold, **loose) == 0.0, "the right answer says that there is none"
    assert value("json_fields", invented, '{"city": "Bern"}', **loose) == 1.0
    told = "Fields that the right answer does not have were not counted"
    scorer = type(make("json_fields", {}))
    assert scorer.own_notes({}, (), ()) == []
    assert told in scorer.own_notes(loose, (), ())[0]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("refund", "not_json"),
        ("", "not_json"),
        ('{"a": NaN}', "not_json"),
        ("[" * 100_000, "not_json"),
        ("[1]", "not_an_object"),
    ],
)
def test_json_fields_wrong_form(answer, code):
    given = score("json_fields", answer, '{"a": 1}')
    assert (given.value, given.format_ok, given.parts) == (0.0, False, {"a": 0.0})
    assert given.reason.startswith(code)


def test_json_fields_paths_labels_and_ignore():
    gold = '{"address": {"city": "Bern"}, "kind": "New Order", "note": "x"}'
    answer = '{"address": {"city": "Bern"}, "kind": "new_order", "note": "y"}'
    options = {"fields": ["address.city", "kind"], "labels": ["kind"]}
    assert value("json_fields", answer, gold, **options) == 1.0
    assert value("json_fields", answer, gold, ignore=["note"], labels=["kind"]) == 1.0


def test_json_fields_keeps_to_the_schema_of_the_request():
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    asked = Sample(
        id="s", messages=(), response_format={"type": "json_schema", "json_schema": {"schema": schema}}
    )
    given = score("json_fields", '{"a": "z"}', '{"a": "x"}', sample=asked)
    assert not given.format_ok
    assert given.reason.startswith("against_schema: $.a")
    given = score("json_fields", '{"a": "y"}', '{"a": "x"}', sample=asked)
    assert given.format_ok
    with pytest.raises(ConfigError, match="not a valid JSON schema"):
        score("json_fields", "{}", "{}", schema={"type": "nonsense"})


def test_json_fields_weights_that_sum_to_nothing_score_nothing():
    zero = {"overall": "mean", "weights": {"a": 0, "b": 0}}
    given = score("json_fields", '{"a": 2}', '{"a": 1, "b": 2}', **zero)
    assert given.value is None and given.reason.endswith("no field that counts is in this answer")
    assert value("json_fields", "{}", "{}", **zero) == 1.0, "nothing was wanted"
    assert value("json_fields", '{"c": 1}', '{"a": 1}', **zero) == 0.0, "invented fields weigh as others"


SAMPLE = Sample(
    id="s", messages=(Message(role="user", content="Where is my lamp?"),), gold="In the lamp box."
)


def graded(serve, reply, *answers, **options):
    async def go():
        async with serve(reply, streaming=False) as server:
            scorer = make(
                "judge", {"base_url": server.endpoint.base_url, "model": "j", "mode": "absolute", **options}
            )
            given = []
            for answer in answers:
                given.append(await scorer.score(SAMPLE, answer, "Whatever it is compared with."))
                await scorer.close()
            return given, server

    return asyncio.run(go())


def test_a_grade_becomes_a_share_of_the_scale(serve):
    grades = iter(("[[1]]", "[[3]]", "[[5]]"))
    given, server = graded(serve, lambda body, attempt: f"Hm. {next(grades)}", "a", "b", "c")
    assert [one.value for one in given] == [0.0, 0.5, 1.0]
    assert given[1].reason == "graded: 3 of 5"
    asked = server.seen[0]["messages"][-1]["content"]
    assert "Where is my lamp?" in asked
    assert "In the lamp box." in asked and "Whatever" not in asked


@pytest.mark.parametrize(("said", "code"), [("Fine!", "judge_unreadable"), ("[[11]]", "judge_unreadable")])
def test_a_judgement_that_cannot_be_read_is_unscored(serve, said, code):
    (given,), _ = graded(serve, lambda body, attempt: said, "a")
    assert given.value is None
    assert given.reason.startswith(code)


def test_an_empty_answer_needs_no_judge_and_a_single_one_no_pairwise_judge(serve):
    (empty,), server = graded(serve, lambda body, attempt: "[[5]]", " ")
    assert (empty.value, empty.format_ok, server.seen) == (0.0, False, [])
    (alone,), server = graded(serve, lambda body, attempt: "[[A]]", "a", mode="pairwise")
    assert (alone.value, server.seen) == (None, [])
    assert alone.reason.startswith("pairwise")
