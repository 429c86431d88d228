"""Calls scored against a recorded one, and against published gold answers."""

import asyncio
import json

import pytest
from tests.evals.scorers.conftest import score, value

from freehold.evals.scorers import make
from freehold.types.dataset import Message, Sample

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "book",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "nights": {"type": "integer"},
                    "price": {"type": "number"},
                    "extras": {"type": "array", "items": {"type": "string"}},
                    "guest": {"type": "object"},
                    "note": {"type": ["string", "null"]},
                },
                "required": ["city", "nights"],
            },
        },
    }
]


BOOKING = Sample(id="s", messages=(), tools=TOOLS)


RECORDED = json.dumps(
    [
        {
            "id": "x",
            "type": "function",
            "function": {
                "name": "book",
                "arguments": '{"city":"Bern","nights":2,"price":99,"extras":["sea view"],"guest":{"name":"Li"}}',
            },
        }
    ]
)


def book(**changed):
    arguments = {
        "city": "Bern",
        "nights": 2,
        "price": 99.0,
        "extras": ["sea view"],
        "guest": {"name": "Li"},
    } | changed
    kept = {key: one for key, one in arguments.items() if one is not ...}
    return json.dumps(
        [{"id": "y", "type": "function", "function": {"name": "book", "arguments": json.dumps(kept)}}]
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (book(), None),
        (book(city="bern"), "wrong_value"),
        (book(city=...), "missing_required"),
        (book(nights="2"), "wrong_type"),
        (book(guest={"name": "Bo"}), "wrong_value"),
        (book(pool=True), "unexpected_argument"),
        ("I can't book that.", "no_call"),
        (book().replace('"book"', '"cancel"'), "wrong_function"),
        (book()[:-1] + "," + book()[1:], "wrong_count"),
        ('[{"function": {"name": "book", "arguments": "{broken"}}]', "broken_call"),
    ],
)
def test_tool_call_against_a_recorded_call(answer, reason):
    given = score("tool_call", answer, RECORDED, sample=BOOKING)
    if reason is None:
        assert given.value == 1.0
    else:
        assert given.value == 0.0
        assert given.reason.split(":")[0] == reason
        assert given.format_ok is (reason != "broken_call")


def test_tool_call_options():
    assert value("tool_call", book(city="bern"), RECORDED, sample=BOOKING, strings="lenient") == 1.0
    assert value("tool_call", book(city="Rome"), RECORDED, sample=BOOKING, ignore=["city"]) == 1.0
    assert value("tool_call", book(note=None), RECORDED, sample=BOOKING) == 0.0
    assert score("tool_call", "x", "not calls {", sample=BOOKING).value is None
    assert value("tool_call", "just words", "", sample=BOOKING) == 1.0


def test_tool_call_matches_calls_in_the_best_way():
    reference = json.dumps([{"f": {"x": [1, 2]}}, {"f": {"x": [1]}}])
    assert value("tool_call", "[f(x=1), f(x=2)]", reference) == 1.0
    assert value("tool_call", "[f(x=2), f(x=2)]", reference) == 0.0


SPLITS = {"simple_python": 400, "multiple": 200, "parallel": 200, "live_simple": 258}


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def items(shared_data):
    """Per split: samples with their reference (BFCL's own form) and a right answer made from it."""
    folder = shared_data("bfcl")
    found = {}
    for split in SPLITS:
        golds = {
            row["id"]: row["ground_truth"]
            for row in rows(folder / "possible_answer" / f"BFCL_v4_{split}.json")
        }
        found[split] = [
            (sample(row), json.dumps(golds[row["id"]]), [right_call(call, row) for call in golds[row["id"]]])
            for row in rows(folder / f"BFCL_v4_{split}.json")
        ]
    return found


def sample(row):
    messages = tuple(Message(role=one["role"], content=one["content"]) for one in row["question"][0])
    return Sample(id=row["id"], messages=messages, tools=row["function"])


def right_call(call, row):
    ((name, accepted),) = call.items()
    function = next(one for one in row["function"] if one["name"] == name)
    properties = function["parameters"]["properties"]
    arguments = {}
    for argument, values in accepted.items():
        if not values:  # nothing is listed as accepted: any value of the type is
            arguments[argument] = {"dict": {}, "string": "x", "boolean": True, "integer": 0, "array": []}[
                properties[argument]["type"]
            ]
        elif "" not in values or argument in function["parameters"].get("required", ()):
            arguments[argument] = first_value(next(one for one in values if one != ""))
    return {"name": name, "arguments": arguments}


def first_value(value):
    if isinstance(value, dict):
        return {
            key: first_value(one[0]) for key, one in value.items() if isinstance(one, list) and one[0] != ""
        }
    return [first_value(one) for one in value] if isinstance(value, list) else value


def tool_calls(calls):
    """As an OpenAI-compatible API answers: dots in names become underscores, arguments are text."""
    return json.dumps(
        [
            {
                "id": f"c{place}",
                "type": "function",
                "function": {
                    "name": one["name"].replace(".", "_"),
                    "arguments": json.dumps(one["arguments"]),
                },
            }
            for place, one in enumerate(calls)
        ]
    )


def scores_of(one, reference, answer):
    given, turn = asyncio.run(both(one, answer, reference))
    assert turn.value == given.value, (one.id, answer, given, turn)
    return given


async def both(one, answer, reference):
    return [await make(name).score(one, answer, reference) for name in ("tool_call", "turn")]


@pytest.mark.parametrize(("split", "count"), SPLITS.items())
def test_gold_answers_score_one_hundred_percent(items, split, count):
    assert len(items[split]) == count
    wrong = [
        (one.id, given)
        for one, reference, calls in items[split]
        if (given := scores_of(one, reference, tool_calls(calls))).value != 1.0
    ]
    assert wrong == []


def test_parallel_calls_may_come_in_any_order(items):
    for one, reference, calls in items["parallel"]:
        assert scores_of(one, reference, tool_calls(list(reversed(calls)))).value == 1.0, one.id


def test_irrelevance_wants_no_call(shared_data):
    found = [sample(row) for row in rows(shared_data("bfcl") / "BFCL_v4_irrelevance.json")]
    assert len(found) == 240
    for one in found:
        assert scores_of(one, "[]", "None of the tools can do that.").value == 1.0
        name = one.tools[0]["name"] if one.tools else "f"
        given = scores_of(one, "[]", tool_calls([{"name": name, "arguments": {}}]))
        assert (given.value, given.reason.split(":")[0]) == (0.0, "unexpected_call")
