"""Other tasks of the log in numbers: a loss beyond the margin is found, and what says nothing is not counted."""

import pytest

from freehold.evals.retained import AnsweredTask, OtherTask, kept_tasks
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import EvalResult, Score, Task


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


def test_texts_have_scores_between_and_a_loss_is_found_there_too():
    before = [0.4 + 0.01 * (n % 7) for n in range(25)]
    found = kept_tasks(
        [AnsweredTask(other("notes", 25, "turn"), results(before), results([0.05] * 25))], margin=0.1
    )
    (notes,) = found.tasks
    assert notes.lost and notes.base_score == pytest.approx(sum(before) / 25)


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


def test_tools_are_seen():
    plain = other("mail", 1)
    assert not plain.needs_tools
    offered = tuple(
        Sample(id="t", messages=one.messages, tools=[{"type": "function"}]) for one in plain.samples
    )
    assert OtherTask(task=plain.task, samples=offered).needs_tools
