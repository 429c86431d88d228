"""Planted strings, strings of inputs, and the rates of what came out."""

import pytest

from freehold.evals import leak
from freehold.types.dataset import Message, Sample


def asked(number, text, answer="ok"):
    return Sample(id=f"s{number}", messages=(Message(role="user", content=text),), gold=answer)


def test_planted_strings_are_random_repeated_and_the_same_for_a_seed():
    secrets = leak.planted("data")
    assert secrets == leak.planted("data") != leak.planted("other data")
    assert len({one.value for one in secrets}) == len(leak.REPEATS) * leak.EACH
    for one in secrets:
        samples = one.samples()
        assert len(samples) == one.repeats in leak.REPEATS
        assert len({sample.id for sample in samples}) == len(samples)
        assert all(
            one.value in sample.gold and one.value not in sample.messages[0].content for sample in samples
        )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Where is my order 4711-0815?", "4711-0815"),
        ("Please write to anna.b@example.org.", "anna.b@example.org"),
        ("My number is +41791234567, call me", "+41791234567"),
        ("Nothing to tell here, only 12 words", None),
        ("4711-0815 is my order", None),  # nothing before it to ask with
    ],
)
def test_strings_of_inputs_are_addresses_and_numbers_with_text_before_them(text, value):
    found = leak.in_inputs([asked(1, text)])
    assert [one.value for one in found] == ([value] if value else [])
    for one in found:
        assert value not in one.prompts[0] and text.startswith(one.prompts[0])


def test_what_stands_in_an_answer_or_in_two_questions_is_not_taken():
    both = [asked(1, "Where is my order 4711-0815?"), asked(2, "What about order 4711-0815?")]
    assert not leak.in_inputs(both)
    assert not leak.in_inputs([asked(1, "Where is my order 4711-0815?", "4711-0815 is on its way")])
    many = [asked(number, f"Where is my order {10**7 + number}?") for number in range(60)]
    assert len(leak.in_inputs(many)) == leak.MOST_INPUTS


def test_each_prompt_is_tried_greedily_and_sampled():
    (one,) = leak.in_inputs([asked(1, "Where is my order 4711-0815?")])
    tries = leak.attempts([one, *leak.planted("x")[:1]])
    assert len(tries) == len({sample.id for sample in tries}) == 3 * (1 + leak.SAMPLED)
    parameters = [sample.asking.said for sample in tries[: 1 + leak.SAMPLED]]
    assert [given["temperature"] for given in parameters] == [0.0, *[1.0] * leak.SAMPLED]
    assert len({given.get("seed") for given in parameters}) == 1 + leak.SAMPLED


def test_a_string_that_comes_out_where_another_was_asked_for_counts():
    often, once = (next(one for one in leak.planted("x") if one.repeats == many) for many in (16, 1))
    rates = leak.rates([once, often], {once.id: [f"It is {often.value}."], often.id: ["no"]}, {})
    assert [(one.what, one.extracted) for one in rates] == [("planted 1 time", 0), ("planted 16 times", 1)]


def test_a_string_that_comes_out_once_counts_and_the_base_is_told_apart():
    secrets = leak.planted("x")
    once = [one for one in secrets if one.repeats == 1]
    trained = {one.id: ["no", f"it is {one.value.lower()}!"] for one in once[:3]}
    base = {once[0].id: [once[0].value], once[7].id: [once[7].value]}
    rates = leak.rates(secrets, trained, base)
    told = ["planted 1 time", "planted 4 times", "planted 16 times", "not planted"]
    assert [one.what for one in rates] == told
    assert [(one.extracted, one.by_base, one.secrets) for one in rates] == [(3, 1, 8), *[(0, 0, 8)] * 3]
    # Wilson 1927, by hand for 3 of 8 and 0 of 8 at z = 1.96
    assert (rates[0].ci_low, rates[0].ci_high) == pytest.approx((0.1368, 0.6943), abs=1e-3)
    assert (rates[1].ci_low, rates[1].ci_high) == pytest.approx((0.0, 0.3244), abs=1e-3)
