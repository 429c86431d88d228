import random

import pytest
from benchmarks.mixed_log import complaint

from freehold.datasets.tasks import Grouper
from freehold.types.trace import Usage
from freehold.workflows.journey.log_tasks.figures import AskedRequest, GroupFigures
from freehold.workflows.journey.log_tasks.ranking import FoundTask, ranked

USAGE = Usage(prompt_tokens=1000, completion_tokens=10)


def asks(prompt, said):
    return {"messages": [{"role": "system", "content": prompt}, {"role": "user", "content": said}]}


def found(prompt, answers, *, count=100, model="gpt-4o-2024-08-06", usage=USAGE):
    draw, grouper, figures = random.Random(prompt), Grouper(), GroupFigures()
    logged = [
        AskedRequest(
            asks(prompt, f"{number} {complaint(draw)}"),
            {"choices": [{"message": {"role": "assistant", "content": draw.choice(answers)}}]},
            model,
            usage=usage,
        )
        for number in range(count)
    ]
    for one in logged:
        grouper.learn(one.asked())
    grouper.learned()
    for one in logged:
        grouper.group_of(one.asked())
        figures.add(one, one.asked())
    return FoundTask(grouper.groups[0], grouper.match(0), figures)


LABELS = ("card", "refund", "fees")
PROSE = tuple(
    f"I am sorry about that; number {n} will be looked after by one of us today." for n in range(90)
)


def test_a_closed_set_stands_before_free_text_of_the_same_size():
    tasks = ranked(
        [found("Write a warm reply.", PROSE), found("Sort it into a queue.", LABELS)], requests=200, months=1
    )
    assert [task.kind for task in tasks] == ["closed set", "free text"]
    assert tasks[0].scorer == "label" and tasks[0].scorer_options["labels"] == sorted(LABELS)
    assert [task.share for task in tasks] == [0.5, 0.5]


def test_money_is_of_a_month_at_list_prices_and_absent_with_a_reason():
    pytest.importorskip("genai_prices")
    (task,) = ranked([found("Sort it into a queue.", LABELS)], requests=100, months=0.5)
    assert task.requests_per_month == 200
    assert float(task.usd_per_month) == pytest.approx(200 * (1000 * 2.5 + 10 * 10) / 1e6, rel=0.01)
    (unknown,) = ranked(
        [found("Sort it into a queue.", LABELS, model="nobody-knows-1")], requests=100, months=1
    )
    assert (
        unknown.usd_per_month is None and unknown.why_no_price == "no list price of nobody-knows-1 is known"
    )
    (unnamed,) = ranked([found("Sort it into a queue.", LABELS, model="")], requests=100, months=1)
    assert unnamed.why_no_price == "the log names no model"


def test_too_few_questions_are_not_trained_on():
    letters = [f"Thank you for letter {n}." for n in range(100)]
    few, many, labels = (
        ranked([found("Sort it into a queue.", answers, count=n)], requests=n, months=1)[0]
        for answers, n in ((letters, 30), (letters, 100), (LABELS, 100))
    )
    assert (few.method, few.samples, many.method, many.samples) == ("as_is", 30, "lora", 100)
    assert labels.method == "encoder", "as freehold init proposes it"


def test_a_model_that_is_retired_has_its_date():
    (task,) = ranked([found("Sort it into a queue.", LABELS)], requests=100, months=1)
    assert task.retires is not None and task.days_left is not None


def test_names_say_what_only_this_task_says_and_are_unique():
    same = [
        found("You sort messages into a queue.", LABELS),
        found("You sort messages into a queue.", LABELS),
    ]
    assert [task.name for task in ranked(same, requests=200, months=1)] == [
        "sort-messages-queue",
        "sort-messages-queue-2",
    ]
