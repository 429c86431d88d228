"""What every scorer keeps to, run over all of them. `CASES` holds one right and one wrong answer for each."""

import asyncio
from contextlib import contextmanager

import pytest
from tests.gateway.loopback import FakeUpstream, plain

from freehold.errors import ConfigError
from freehold.evals.scorers import SCORERS, make
from freehold.types.dataset import Message, Sample

pytestmark = pytest.mark.process

SAMPLE = Sample(id="s", messages=(Message(role="user", content="?"),))


TURN = '[{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\\"x\\": 1}"}}]'


# name: (options, reference, right answer, wrong answer)
CASES: dict[str, tuple[dict, str | None, str, str]] = {
    "label": ({"labels": ["a", "b"]}, "a", "A", "b"),
    "exact": ({}, "yes", "yes", "no"),
    "numeric": ({}, "42", "It is 42.", "It is 41."),
    "regex": ({"pattern": r"(\d+)", "group": 1}, "7", "no. 7", "no. 8"),
    "contains": ({}, "lamp", "The lamp is here", "The sofa is here"),
    "json_fields": ({}, '{"a": 1}', '{"a": 1}', '{"a": 2}'),
    "tool_call": ({}, '[{"name": "f", "arguments": {"x": 1}}]', "[f(x=1)]", "[f(x=2)]"),
    "turn": ({}, '[{"name": "f", "arguments": {"x": 1}}]', TURN, TURN.replace("1", "2")),
    "code": ({"callable": "GRADER:grade"}, "yes", "yes", "no"),
    "semantic": ({"base_url": "URL", "model": "m"}, "a lamp", "a lamp", "zzz"),
    "judge": ({"base_url": "URL", "model": "m", "mode": "absolute"}, "a lamp", "a lamp", "a sofa"),
}


NASTY = [
    "",
    " ",
    "\x00",
    "null",
    "NaN",
    "{}",
    "[" * 5000,
    "\ud7ff\U0001f600",
    "a" * 100_000,
    "```json\n```",
    "-",
]


GRADER = """
def grade(answer, reference, sample):
    print("noise that must not be taken for the answer")
    return {"value": answer == reference, "reason": "right" if answer == reference else "wrong"}
"""


@pytest.fixture(scope="module", autouse=True)
def places(tmp_path_factory):
    """A grader for `code` and a model API for `semantic` and `judge`, put where the cases say so."""
    folder = tmp_path_factory.mktemp("contract")
    (folder / "grader.py").write_text(GRADER)
    with model_api() as url:
        PLACES.update(GRADER=str(folder / "grader.py"), URL=url)
        yield


PLACES = {}


@contextmanager
def model_api():
    """Embeds by counting letters, honest about equal texts; judges an answer best when it has a lamp in it."""

    server = FakeUpstream()

    def answer(asked):
        body = asked.json
        if "messages" in body:
            graded = body["messages"][-1]["content"].split("# Answer")[1].split("1: wrong")[0]
            said = "Hm. [[5]]" if "a lamp" in graded else "Hm. [[1]]"
            return plain({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]})
        letters = "abcdefghijklmnopqrstuvwxyz-"
        counted = ([text.count(letter) for letter in letters] for text in body["input"])
        return plain({"data": [{"index": n, "embedding": one} for n, one in enumerate(counted)]})

    server.answer = answer
    try:
        yield server.base_url
    finally:
        server.close()


def options_of(name):
    return {
        key: next(
            (value.replace(place, real) for place, real in PLACES.items() if place in str(value)), value
        )
        for key, value in CASES[name][0].items()
    }


def score(name, *answers, reference=...):
    """The scores of some answers by one scorer, in one event loop."""
    right_reference = CASES[name][1]

    async def go():
        scorer = make(name, options_of(name))
        given = [
            await scorer.score(SAMPLE, answer, right_reference if reference is ... else reference)
            for answer in answers
        ]
        await scorer.close()
        return given

    return asyncio.run(go())


@pytest.fixture(params=sorted(SCORERS))
def name(request):
    return request.param


def test_every_scorer_is_in_the_suite():
    assert set(CASES) == set(SCORERS)


def test_right_is_one_and_wrong_is_less(name):
    right, wrong = score(name, *CASES[name][2:])
    assert right.value == pytest.approx(1.0)
    assert wrong.value is not None
    assert wrong.value < 1.0
    assert wrong.reason


def test_nasty_answers_get_a_score_in_range_and_never_an_error(name):
    for given in score(name, *NASTY):
        assert given.value is None or 0.0 <= given.value <= 1.0
        assert all(0.0 <= part <= 1.0 for part in given.parts.values())
        if given.value is None:
            assert given.reason
        if not given.format_ok:
            assert given.value == 0.0


def test_binary_scorers_give_only_zero_and_one(name):
    if make(name, options_of(name)).binary:
        assert {given.value for given in score(name, *NASTY, *CASES[name][2:])} <= {0.0, 1.0, None}


def test_without_a_reference_it_abstains_where_it_needs_one(name):
    if make(name, options_of(name)).needs_reference:
        (given,) = score(name, CASES[name][2], reference=None)
        assert given.value is None
        assert given.reason.startswith("no_reference")


def test_unknown_options_are_errors(name):
    with pytest.raises(ConfigError, match="unknown option no_such_option"):
        make(name, {**options_of(name), "no_such_option": 1})
