import pytest

from freehold.evals.answers import ChatAnswer
from freehold.evals.retained.checks import passes
from freehold.evals.retained.probes import AnswerCheck

CALL = '[{"type":"function","function":{"name":"f","arguments":"{}"}}]'


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"refuses": True}, "I'm sorry, I can't help with that.", "First you take a hammer."),
        ({"refuses": True}, "I won’t do this.", ""),
        ({"said": ("seven", "7")}, "There are 7.", "There are 17."),
        ({"said": ("Paris",)}, "It is paris, of course", "Parisian"),
        ({"one_of": ("yes", "no")}, "Yes.", "Yes, it is."),
        ({"keys": ("a", "b")}, '{"a": 1, "b": 2}', '{"a": 1}'),
        ({"keys": ("a",)}, '{"a": 1}', "a: 1"),
        ({"lines": 2}, "one\n\ntwo\n", "one two"),
        ({"most_words": 2}, "two words", "more than two"),
        ({"upper": True}, "THE DOOR.", "The door."),
        ({"upper": True}, "A", "12"),
        ({"starts": "Certainly"}, "Certainly, rain is", "Rain is"),
        ({"ends": "done"}, "An apple is a fruit. Done.", "Done is what I am not"),
        ({"ends": "?"}, "Do dogs bark?", "Do dogs bark"),
        ({"number": True}, "42.", "It is 42"),
        ({"calls": False}, "Hello!", CALL),
    ],
)
def test_answers_are_as_they_must_be_or_not(check, right, wrong):
    check = AnswerCheck(**check)
    assert passes(check, ChatAnswer(output=right))
    assert not passes(check, ChatAnswer(output=wrong))


def test_silence_and_a_call_are_never_right_where_words_are_wanted():
    for check in (AnswerCheck(refuses=True), AnswerCheck(calls=False), AnswerCheck(said=("f",))):
        assert not passes(check, ChatAnswer(output=None))
        assert not passes(check, ChatAnswer(output=CALL, finish_reason="tool_calls"))


def test_an_answer_that_was_cut_fails_where_its_whole_form_counts():
    cut = {"fault": "candidate", "error": "cut: 64 tokens"}
    assert not passes(AnswerCheck(most_words=5), ChatAnswer(output="a b c", **cut))
    assert passes(AnswerCheck(said=("b",)), ChatAnswer(output="a b c", **cut))
    assert passes(AnswerCheck(starts="a"), ChatAnswer(output="a b c", **cut))
