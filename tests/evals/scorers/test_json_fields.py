import pytest
from tests.evals.scorers.conftest import score, value

from freehold.errors import ConfigError
from freehold.evals.scorers import make
from freehold.types.dataset import Sample

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
        ('{"a": 1', "not_json"),
        ("[" * 100_000, "not_json"),
        ("[1]", "not_an_object"),
        ('"text"', "not_an_object"),
    ],
)
def test_json_fields_wrong_form(answer, code):
    given = score("json_fields", answer, '{"a": 1}')
    assert (given.value, given.format_ok, given.parts) == (0.0, False, {"a": 0.0})
    assert given.reason.startswith(code)


def test_json_fields_types_are_not_mixed_up():
    assert value("json_fields", '{"a": 1.0}', '{"a": 1}') == 1.0
    assert value("json_fields", '{"a": true}', '{"a": 1}') == 0.0
    assert value("json_fields", '{"a": "1"}', '{"a": 1}') == 0.0
    assert value("json_fields", '{"a": 0}', '{"a": false}') == 0.0
    assert value("json_fields", '{"a": 1.01}', '{"a": 1}', tolerance={"a": 0.02}) == 1.0


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
