"""What every scorer keeps to, run over all of them. `CASES` holds one right and one wrong answer for each."""

import asyncio

import pytest

from freehold.errors import ConfigError
from freehold.evals.scorers import SCORERS, make
from freehold.evals.scorers.scorer import Scorer
from freehold.types.dataset import Message, Sample

SAMPLE = Sample(id="s", messages=(Message(role="user", content="?"),))

# name: (options, reference, right answer, wrong answer)
CASES: dict[str, tuple[dict, str | None, str, str]] = {
    "label": ({"labels": ["a", "b"]}, "a", "A", "b"),
    "exact": ({}, "yes", "yes", "no"),
    "json_fields": ({}, '{"a": 1}', '{"a": 1}', '{"a": 2}'),
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


def score(name, answer, *, reference=..., options=None):
    given_options, right_reference, _, _ = CASES[name]
    scorer = make(name, given_options if options is None else options)
    return asyncio.run(scorer.score(SAMPLE, answer, right_reference if reference is ... else reference))


@pytest.fixture(params=sorted(SCORERS))
def name(request):
    return request.param


def test_every_scorer_is_in_the_suite():
    assert set(CASES) == set(SCORERS)


def test_it_is_a_scorer_under_its_own_name(name):
    scorer = make(name, CASES[name][0])
    assert isinstance(scorer, Scorer)
    assert scorer.name == name


def test_right_is_one_and_wrong_is_less(name):
    _, _, right, wrong = CASES[name]
    assert score(name, right).value == 1.0
    given = score(name, wrong)
    assert given.value is not None
    assert given.value < 1.0
    assert given.reason


def test_nasty_answers_get_a_score_in_range_and_never_an_error(name):
    for answer in NASTY:
        given = score(name, answer)
        assert given.value is None or 0.0 <= given.value <= 1.0
        assert all(0.0 <= part <= 1.0 for part in given.parts.values())
        if given.value is None:
            assert given.reason
        if not given.format_ok:
            assert given.value == 0.0


def test_binary_scorers_give_only_zero_and_one(name):
    if make(name, CASES[name][0]).binary:
        assert {score(name, answer).value for answer in (*NASTY, *CASES[name][2:])} <= {0.0, 1.0, None}


def test_without_a_reference_it_abstains_where_it_needs_one(name):
    if make(name, CASES[name][0]).needs_reference:
        given = score(name, CASES[name][2], reference=None)
        assert given.value is None
        assert given.reason.startswith("no_reference")


def test_the_same_answer_gets_the_same_score(name):
    assert score(name, CASES[name][3]) == score(name, CASES[name][3])


def test_unknown_options_are_errors(name):
    with pytest.raises(ConfigError, match="unknown option no_such_option"):
        make(name, {**CASES[name][0], "no_such_option": 1})
