import pytest
from tests.prompts.modelled import ASKED, samples

from freehold.prompts.measuring import PromptAnswer, standing, trial, worth


def answer(score, *, format_ok=True, tokens=10):
    return PromptAnswer(samples(1)[0], "x", score, None, format_ok, tokens)


def test_a_readable_answer_is_worth_more_than_an_unreadable_one_and_less_than_a_right_one():
    wrong_form, wrong, right = answer(0.0, format_ok=False), answer(0.0), answer(1.0)
    assert wrong_form.worth == 0.0 < wrong.worth < right.worth == 1.0
    assert worth([wrong_form, right]) == pytest.approx(0.5)
    assert worth([]) == 0.0


def test_answers_are_added_up():
    made = trial(
        "x", ASKED.preparation(), [answer(1.0), answer(0.0, format_ok=False, tokens=20), answer(None)]
    )
    assert (made.samples, made.score, made.malformed, made.unscored) == (3, pytest.approx(1 / 3), 1, 1)
    assert made.prompt_tokens == pytest.approx(40 / 3)


def test_tokens_that_were_not_counted_are_not_guessed():
    assert trial("x", ASKED.preparation(), [answer(1.0), answer(1.0, tokens=None)]).prompt_tokens is None


def test_of_equal_worth_the_shorter_prompt_stands_first():
    short = trial("short", ASKED.preparation(), [answer(1.0, tokens=5)])
    long = trial("long", ASKED.preparation(), [answer(1.0, tokens=50)])
    wrong = trial("wrong", ASKED.preparation(), [answer(0.0, tokens=1)])
    assert sorted([wrong, long, short], key=standing) == [short, long, wrong]
