import json

import pytest
from tests.prompts.modelled import samples

from freehold.prompts.forms import closed_set, form_of
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import Task


def task(scorer, **options):
    return Task(name="t", scorer=scorer, options=options)


def answered(*targets):
    message = (Message(role="user", content="?"),)
    return [Sample(id=str(place), messages=message, gold=one) for place, one in enumerate(targets)]


def test_labels_are_spelled_as_they_were_taught():
    form = form_of(task("label", labels=["Card arrival", "pin"]), answered("card_arrival", "pin", "pin"))
    assert form.values == ("card_arrival", "pin")
    assert form.statement.endswith("\ncard_arrival\npin")
    assert not form.stated_in("pin") and form.stated_in("card_arrival or pin")


def test_labels_that_are_not_stated_are_those_that_repeat():
    assert form_of(task("label"), answered(*["a", "b"] * 8)).values == ("a", "b")
    assert form_of(task("label"), answered(*map(str, range(20)))).values == (), (
        "twenty texts are no closed set"
    )


def test_a_json_answer_is_described_field_by_field():
    form = form_of(task("json_fields"), samples(30))
    assert form.statement.splitlines()[1:] == [
        '"queue" is one of billing, delivery, returns.',
        '"order" is a number.',
        "It looks like this:",
        '{"queue": "billing", "order": 0}',
    ]
    assert form.reminder.endswith('It looks like this:\n{"queue": "billing", "order": 0}')
    assert form.values == ("queue", "order", "billing", "delivery", "returns")


def test_fields_that_are_sometimes_null_or_free_say_so():
    targets = [json.dumps({"id": f"A-{n}" if n % 2 else None, "urgent": True, "tags": []}) for n in range(40)]
    statement = form_of(task("json_fields"), answered(*targets)).statement
    assert '{"id": "...", "urgent": false, "tags": []}' in statement, "a pattern that is JSON"
    assert '"id" is a text or null.' in statement
    assert '"urgent" is true or false.' in statement and '"tags" is a list.' in statement


def test_a_schema_is_stated_where_no_answer_shows_the_fields():
    schema = {"type": "object", "properties": {"queue": {"type": "string"}}}
    form = form_of(task("json_fields", schema=schema), answered("nothing that is JSON"))
    assert json.dumps(schema) in form.statement
    asked = [
        Sample(
            id="1",
            messages=(Message(role="user", content="?"),),
            gold="-",
            response_format={"type": "json_schema", "json_schema": {"schema": schema}},
        )
    ]
    assert json.dumps(schema) in form_of(task("json_fields"), asked).statement


@pytest.mark.parametrize("scorer", ["code", "judge", "tool_call", "regex", "contains", "semantic", "turn"])
def test_a_form_that_is_not_known_is_not_made_up(scorer):
    form = form_of(task(scorer), answered("a", "b"))
    assert (form.statement, form.reminder, form.values) == (None, None, ())


def test_a_number_is_asked_for_where_the_scorer_looks_for_it():
    assert "####" in form_of(task("numeric", after="####"), []).reminder
    assert form_of(task("numeric"), []).reminder == "Answer with the number and nothing else."


def test_a_closed_set_repeats_and_is_short():
    assert closed_set(["a"] * 4) == ("a",)
    assert closed_set(["a"] * 3 + ["b"]) == (), "each four times on average, or it may be open"
    assert closed_set(["x" * 61] * 9) == ()
    assert closed_set([]) == ()
