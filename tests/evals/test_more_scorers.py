import asyncio
import json
import socket

import pytest

from freehold.errors import ConfigError
from freehold.evals.scorers import make
from freehold.types.dataset import Message, Sample

SAMPLE = Sample(id="s", messages=(Message(role="user", content="?"),), metadata={"limit": 3})


def score(name, answer, reference, *, sample=SAMPLE, **options):
    async def go():
        scorer = make(name, options)
        given = await scorer.score(sample, answer, reference)
        if hasattr(scorer, "close"):
            await scorer.close()
        return given

    return asyncio.run(go())


def value(*args, **options):
    return score(*args, **options).value


@pytest.mark.parametrize(
    ("answer", "reference", "right", "options"),
    [
        ("The total is 1,234.50 dollars", "1234.5", 1.0, {}),
        ("12, then 13", "13", 1.0, {}),
        ("12, then 13", "12", 1.0, {"take": "first"}),
        ("-5", "5", 0.0, {}),
        ("\u22125", "-5", 1.0, {}),
        ("the answer is (-5)", "-5", 1.0, {}),
        ("pages 5-7", "7", 1.0, {}),
        ("$18", "18", 1.0, {"take": "only"}),
        ("18 apples", "18", 0.0, {"take": "only"}),
        ("**18**", "18", 1.0, {"take": "only"}),
        ("1e3", "1000", 1.0, {}),
        ("3.14159", "3.14", 0.0, {}),
        ("3.14159", "3.14", 1.0, {"absolute": 0.002}),
        ("102", "100", 1.0, {"relative": 0.02}),
        ("102.1", "100", 0.0, {"relative": 0.02}),
        ("steps 1 2\n#### 42", "#### 42", 1.0, {"after": "####"}),
        ("it is 42", "#### 42", 0.0, {"after": "####"}),
        ("1.5 km", "1500 m", 1.0, {"units": {"km": 1000, "m": 1}}),
        ("1500", "1.5 km", 1.0, {"units": {"km": 1000, "m": 1}}),
        ("1.5 m", "1.5 km", 0.0, {"units": {"km": 1000, "m": 1}}),
        ("3/4", "0.75", 1.0, {"fractions": True}),
        ("3/4", "4", 1.0, {}),
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


def test_regex():
    assert value("regex", "order LL-204816 ok", None, pattern=r"LL-\d{6}") == 1.0
    assert value("regex", "order LL-204816 ok", None, pattern=r"LL-\d{6}", match="full") == 0.0
    assert value("regex", "LL-2 then LL-3", "LL-3", pattern=r"(LL-\d)", group=1) == 1.0
    assert value("regex", "abc", "^a.c$") == 1.0
    assert score("regex", "abc", "(").value is None
    given = score("regex", "none", "LL-3", pattern=r"(?P<order>LL-\d)", group="order")
    assert (given.value, given.format_ok) == (0.0, False)
    assert value("regex", "ll-3", "LL-3", pattern=r"ll-\d", group=0, ignore_case=True) == 1.0
    for options, message in [
        ({"pattern": "("}, "not a valid pattern"),
        ({"pattern": "a", "group": 1}, "no group 1"),
        ({"group": 1}, "group needs a pattern"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make("regex", options)


def test_contains():
    assert value("contains", "Your  Refund\nis on the way", "refund is") == 1.0
    assert value("contains", "a refund", None, all=["refund"], none=["sorry"]) == 1.0
    assert (
        score("contains", "sorry, a refund", None, all=["refund"], none=["sorry"]).reason
        == "forbidden: sorry"
    )
    assert value("contains", "b", None, any=["a", "b"]) == 1.0
    assert value("contains", "catalog", "cat") == 1.0
    assert value("contains", "catalog", "cat", words=True) == 0.0
    assert value("contains", "Cat", "cat", case_sensitive=True) == 0.0
    with pytest.raises(ConfigError, match="empty text"):
        make("contains", {"all": [" "]})


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
        (book(price=...), "missing_argument"),
        (book(nights="2"), "wrong_type"),
        (book(nights=2.5), "wrong_type"),
        (book(nights=True), "wrong_type"),
        (book(extras=["sea view", "pool"]), "wrong_value"),
        (book(extras=[1]), "wrong_item_type"),
        (book(guest={"name": "Bo"}), "wrong_value"),
        (book(guest={"name": "Li", "age": 3}), "wrong_key"),
        (book(pool=True), "unexpected_argument"),
        ("I can't book that.", "no_call"),
        ("", "no_call"),
        (book().replace('"book"', '"cancel"'), "wrong_function"),
        (book()[:-1] + "," + book()[1:], "wrong_count"),
        ('[{"function": {"name": "book", "arguments": "{broken"}}]', "broken_call"),
        ('[{"function": "book"', "no_call"),
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


def grader(tmp_path, body):
    path = tmp_path / "grader.py"
    path.write_text("import os, time, sys\n\ndef grade(answer, reference, sample):\n" + body)
    return f"{path}:grade"


@pytest.mark.parametrize(
    ("body", "given_value", "code"),
    [
        ("    return len(answer) <= sample['metadata']['limit']", 1.0, None),
        ("    return 0.25", 0.25, None),
        ("    return {'value': 0, 'reason': 'bad', 'format_ok': False}", 0.0, "bad"),
        ("    return None", None, "unscored"),
        ("    return 'good'", None, "grader_failed"),
        ("    return float('nan')", None, "grader_failed"),
        ("    return 1.5", None, "grader_failed"),
        ("    raise ValueError('oops')", None, "grader_failed"),
        ("    os._exit(7)", None, "grader_crashed"),
        ("    time.sleep(30)", None, "timeout"),
        ("    return bool('x' * 10**10)", None, "grader_failed"),
    ],
)
def test_code(tmp_path, body, given_value, code):
    given = score("code", "yes", None, callable=grader(tmp_path, body), seconds=0.7)
    assert given.value == given_value
    assert code is None or given.reason.startswith(code)


def test_code_goes_on_after_a_crash_and_a_hang(tmp_path):
    body = "    if answer == 'die': os._exit(1)\n    if answer == 'hang': time.sleep(30)\n"
    body += "    return answer == reference"

    async def go():
        scorer = make("code", {"callable": grader(tmp_path, body), "seconds": 0.7, "timeout": "wrong"})
        given = [
            (await scorer.score(SAMPLE, answer, "a")).value for answer in ("a", "die", "a", "hang", "b", "a")
        ]
        await scorer.close()
        return given

    assert asyncio.run(go()) == [1.0, None, 1.0, 0.0, 0.0, 1.0]


def test_code_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="callable is 'nonsense'"):
        make("code", {"callable": "nonsense"})
    with pytest.raises(ConfigError, match="no such file"):
        make("code", {"callable": "none.py:grade"})
    with pytest.raises(ConfigError, match=r"can't be loaded: AttributeError"):
        score("code", "a", None, callable=grader(tmp_path, "    return 1")[:-5] + "other")
    with pytest.raises(ConfigError, match="callable"):
        make("code", {})


def test_semantic_without_its_endpoint_is_unscored():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{one.getsockname()[1]}"
    given = score("semantic", "a", "b", base_url=url, model="m")
    assert given.value is None
    assert given.reason.startswith("no_embedding")
    with pytest.raises(ConfigError, match="threshold is 2"):
        make("semantic", {"base_url": url, "model": "m", "threshold": 2})
