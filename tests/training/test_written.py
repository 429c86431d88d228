"""Which samples are answered as a run learns, and what is told of the answers."""

from freehold.training.formatting import Encoded, TaughtSample
from freehold.training.written import (
    SHOWN,
    TOKENS_MAX,
    UnansweredSample,
    WrittenTokens,
    answers,
    asked,
    chosen,
)


def sample(number, prompt=5, target=3):
    ids = tuple(range(prompt + target))
    return Encoded(f"s{number}", ids, (*(False,) * prompt, *(True,) * target))


def test_the_last_answer_is_asked_for_with_all_before_it():
    two_turns = Encoded("s", (1, 2, 3, 4, 5, 6), (False, True, False, False, True, True))
    assert asked(two_turns) == UnansweredSample("s", (1, 2, 3, 4), (5, 6), 12)
    assert asked(sample(0, 4, 500)).most == TOKENS_MAX


def test_a_few_are_chosen_over_all_of_them_and_fit_what_is_computed_at_once():
    some = [sample(number) for number in range(40)]
    assert [one.id for one in chosen(some, 1000)] == ["s0", "s10", "s20", "s30"]
    assert len(chosen(some[:2], 1000)) == 2 and len(chosen(some, 45)) == 2 < SHOWN
    assert chosen([object()] * 20, 1000) == [] == chosen([], 1000)


class Words:
    def decode(self, ids, skip_special_tokens):
        return " ".join(map(str, ids)) if skip_special_tokens else "<special>"


def test_a_student_answers_too():
    taught = TaughtSample("s", (1, 2, 3, 4), (False, False, True, True), ())
    assert chosen([taught], 1000) == [UnansweredSample("s", (1, 2), (3, 4), 12)]


def test_right_is_what_is_right_token_for_token():
    some = [asked(sample(0)), asked(sample(1))]
    told = answers(
        lambda given, _: [WrittenTokens((5, 6, 7), True), WrittenTokens((5, 6), False)], some, Words()
    )
    assert [(one.sample_id, one.text, one.is_right, one.ended) for one in told] == [
        ("s0", "5 6 7", True, True),
        ("s1", "5 6", False, False),
    ]
    assert answers(lambda *_: [], [], Words()) == ()
