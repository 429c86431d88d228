"""Probes, their checks, and other tasks of the log."""

from collections import Counter

import pytest

from freehold.evals.retained import AnswerCheck, AnsweredTask, OtherTask, kept_tasks, passes, probes
from freehold.evals.scorer import ChatAnswer
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.types.gates import SKILLS


def test_the_set_is_200_different_requests_each_skill_with_its_share():
    every = probes(1000)
    assert len(every) == len({one.id for one in every}) == len({one.ask for one in every}) == 200
    assert Counter(one.skill for one in every) == {"no_tool": 40, "refusal": 40, "format": 60, "chat": 60}
    assert {one.id.rpartition("-")[0] for one in every} == set(SKILLS)


@pytest.mark.parametrize("count", [1, 4, 79, 80])
def test_a_part_has_the_skills_in_turn_and_is_always_the_same(count):
    part = probes(count)
    assert part == probes(200)[:count]
    shares = Counter(one.skill for one in part).values()
    assert len(part) == count and max(shares) - min(shares) <= 1


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
