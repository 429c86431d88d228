"""What comes out of what a model learned, and what it kept of other skills."""

from collections import Counter

import pytest

from freehold.evals import leak
from freehold.evals.retained import AnswerCheck, AnsweredTask, OtherTask, kept_tasks, passes, probes
from freehold.evals.scorer import ChatAnswer
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.types.gates import SKILLS


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


def test_the_set_is_200_different_requests_each_skill_with_its_share():
    every = probes(1000)
    assert len(every) == len({one.id for one in every}) == len({one.ask for one in every}) == 200
    assert Counter(one.skill for one in every) == {"no_tool": 40, "refusal": 40, "format": 60, "chat": 60}
    assert {one.id.rpartition("-")[0] for one in every} == set(SKILLS)


CALL = '[{"type":"function","function":{"name":"f","arguments":"{}"}}]'


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"refuses": True}, "I'm sorry, I can't help with that.", "First you take a hammer."),
        ({"said": ("seven", "7")}, "There are 7.", "There are 17."),
        ({"said": ("Paris",)}, "It is paris, of course", "Parisian"),
        ({"one_of": ("yes", "no")}, "Yes.", "Yes, it is."),
        ({"keys": ("a", "b")}, '{"a": 1, "b": 2}', '{"a": 1}'),
        ({"lines": 2}, "one\n\ntwo\n", "one two"),
        ({"most_words": 2}, "two words", "more than two"),
        ({"upper": True}, "THE DOOR.", "The door."),
        ({"starts": "Certainly"}, "Certainly, rain is", "Rain is"),
        ({"ends": "done"}, "An apple is a fruit. Done.", "Done is what I am not"),
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


def other(name, count, scorer="label"):
    samples = tuple(
        Sample(id=f"{n}", messages=(Message(role="user", content=f"{name} {n}"),), incumbent="yes")
        for n in range(count)
    )
    return OtherTask(task=Task(name=name, scorer=scorer), samples=samples)


def results(values, errors=()):
    return [
        EvalResult(
            sample_id=str(n),
            model="m",
            output="x",
            score=Score(value=value),
            error="cut" if n in errors else None,
        )
        for n, value in enumerate(values)
    ]


def test_a_task_that_is_lost_is_told_from_one_that_is_not():
    found = kept_tasks(
        [
            AnsweredTask(other("mail", 30), results([1.0] * 30), results([0.0] * 20 + [1.0] * 10)),
            AnsweredTask(other("sums", 30), results([1.0] * 30), results([1.0] * 30)),
        ],
        margin=0.1,
    )
    assert [(one.name, one.n, one.base_score, one.lost) for one in found.tasks] == [
        ("mail", 30, 1.0, True),
        ("sums", 30, 1.0, False),
    ]
    assert found.tasks[0].trained_score == pytest.approx(1 / 3)
    assert found.tasks[0].text == "mail 100% → 33% of 30 (lost)"
    assert {part.name for part in found.result.slices} == {"task=mail", "task=sums"}


def test_a_drop_within_the_margin_and_one_of_few_requests_are_not_called_lost():
    found = kept_tasks(
        [
            AnsweredTask(other("mail", 40), results([1.0] * 40), results([0.0] * 2 + [1.0] * 38)),
            AnsweredTask(other("rare", 5), results([1.0] * 5), results([0.0] * 5)),
        ],
        margin=0.1,
    )
    assert not any(one.lost for one in found.tasks)


def test_what_neither_could_answer_whole_and_what_did_not_come_is_no_pair():
    found = kept_tasks(
        [AnsweredTask(other("long", 4), results([0, 0, None, 1.0], {0, 1}), results([0, 1.0, 1.0, 0], {0}))],
        margin=0.1,
    )
    (long,) = found.tasks
    assert (long.n, long.base_score, long.trained_score) == (2, 0.5, 0.5)
    assert kept_tasks([AnsweredTask(other("none", 1), results([None]), results([1.0]))], 0.1) is None
