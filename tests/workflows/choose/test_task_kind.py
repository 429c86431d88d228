import json

import pytest
from tests.workflows.choose.test_ranking import LOGS

from freehold.types.config import parse
from freehold.types.trace import Trace
from freehold.workflows.choose.task_kind import Answer, kind_of, known_task

PLAIN = parse('[app]\nname = "a"\n', path="freehold.toml")


def traces(kind, count=60):
    return [
        Trace(id=str(number), at="2026-11-01T00:00:00Z", source="x", model="gpt-4o", **said)
        for number in range(count)
        if (said := {name: LOGS[kind](number)[name] for name in ("request", "response")})
    ]


@pytest.mark.parametrize(
    ("log", "kind"),
    [("labels", "labels"), ("replies", "text"), ("extraction", "extraction"), ("calls", "tools")],
)
def test_the_answers_of_the_traffic_tell_the_task(log, kind):
    found = known_task(PLAIN, traces(log), None)
    assert found.kind == kind and "by 60 answers of the traffic" in found.how


def test_json_of_closed_fields_is_a_closed_set_and_json_with_names_is_not():
    closed = [Answer(json.dumps({"team": "ab"[n % 2], "urgent": n % 3 == 0})) for n in range(60)]
    assert kind_of(closed) == "labels"
    assert (
        kind_of([Answer(json.dumps({"name": f"person {n} of {n * 7}"})) for n in range(60)]) == "extraction"
    )


def test_calls_among_words_are_an_agents_and_fences_are_code():
    assert kind_of([Answer("", calls=n % 4 == 0) for n in range(60)]) == "agent"
    assert (
        kind_of([Answer(f"```python\nprint({n})\n```" if n % 2 else f"like this {n}") for n in range(60)])
        == "code"
    )


def test_what_is_stated_comes_before_the_file_and_the_file_before_the_traffic():
    said = parse('[app]\nname = "a"\n[task]\nscorer = "turn"\n', path="freehold.toml")
    assert known_task(said, traces("labels"), None).kind == "agent"
    assert known_task(said, traces("labels"), "code").kind == "code"


def test_a_few_answers_tell_nothing():
    assert known_task(PLAIN, traces("labels", 5), None).kind is None
