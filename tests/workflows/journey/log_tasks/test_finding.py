"""Records of mixed logs are told their task: five logs of our own texts, five of public task data."""

import csv
import json
import os
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.mixed_log import as_record, complaint, mixed_log

from freehold.datasets.tasks import Grouper, asked_task, fits
from freehold.errors import InputError
from freehold.types.config import DataConfig
from freehold.types.trace import Usage
from freehold.workflows.journey.log_tasks import (
    AskedRequest,
    FoundTask,
    GroupFigures,
    is_agent,
    ranked,
    tasks_of_files,
)

PUBLIC = Path(os.environ.get("FREEHOLD_TEST_SHARED") or Path(__file__).parents[5] / "shared") / "data"
"""A folder with Banking77 (``train.csv``), SNIPS and GSM8K as they are published."""
SEEDS = range(5)


def public_texts():
    with (PUBLIC / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        bank = [row["text"] for row in csv.DictReader(file)]
    snips = []
    for file in sorted((PUBLIC / "snips").glob("validate_*.json")):
        for rows in json.loads(file.read_text(encoding="latin-1")).values():
            snips += ["".join(part["text"] for part in row["data"]) for row in rows]
    lines = (PUBLIC / "gsm8k/test.jsonl").read_text(encoding="utf-8").splitlines()
    sums = [json.loads(line)["question"] for line in lines]
    return {
        "": bank, "ticket": snips, "rewrite": snips, "travel": snips,
        "grade": sums, "title": sums, "translate": sums,
    }  # fmt: skip


def found_in(log, folder):
    """The tasks of a log, and for each request the numbers of the tasks that select it."""
    file = folder / "log.jsonl"
    file.write_text("".join(json.dumps(as_record(one)) + "\n" for one in log))
    found = tasks_of_files([file], data=DataConfig())
    asked = [asked_task(one.request) for one in log]
    chosen = [
        [number for number, task in enumerate(found.tasks) if any(fits(match, one) for match in task.match)]
        for one in asked
    ]
    return found, chosen


def right_and_f1(told, meant):
    """The share of records right where each task is one of those found, and the F1 of pairs of records."""
    cells = Counter(zip(told, meant, strict=True))
    right, used, named = 0, set(), set()
    for (number, task), count in cells.most_common():
        if number not in used and task not in named:
            used.add(number)
            named.add(task)
            right += count

    def pairs(counts):
        return sum(count * (count - 1) / 2 for count in counts.values())

    together = 2 * pairs(cells) / (pairs(Counter(told)) + pairs(Counter(meant)))
    return right / len(told), together


def check(log, folder):
    _, chosen = found_in(log, folder)
    assert all(len(numbers) == 1 for numbers in chosen)
    right, f1 = right_and_f1([numbers[0] for numbers in chosen], [one.task for one in log])
    assert right >= 0.95 and f1 >= 0.95, (right, f1)


@pytest.mark.parametrize("seed", SEEDS)
def test_records_of_a_mixed_log_are_told_their_task(seed, tmp_path):
    check(mixed_log(seed, requests=400), tmp_path)


@pytest.mark.skipif(not PUBLIC.exists(), reason="no shared folder: set FREEHOLD_TEST_SHARED")
@pytest.mark.parametrize("seed", SEEDS)
def test_records_with_public_questions_are_told_their_task(seed, tmp_path):
    check(mixed_log(seed, requests=600, texts=public_texts()), tmp_path)


def test_shares_and_requests_add_up(tmp_path):
    found, _ = found_in(mixed_log(6, requests=400, tasks=6), tmp_path)
    assert found.requests == 400 == sum(task.requests for task in found.tasks)
    assert sum(task.share for task in found.tasks) == pytest.approx(1)
    assert found.days == pytest.approx(30, abs=0.2) and found.why_no_month is None
    assert len({task.name for task in found.tasks}) == len(found.tasks)


def test_a_file_without_requests_is_refused(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text('{"request": {"messages": []}}\n')
    with pytest.raises(InputError):
        tasks_of_files([file], data=DataConfig())


def figures(*said, answer="yes", **more):
    made = GroupFigures()
    for text in said:
        request = {"messages": [{"role": "user", "content": text}]}
        response = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
        logged = AskedRequest(request, response, "m", **more)
        made.add(logged, logged.asked())
    return made


def test_counted_tokens_are_taken_and_missing_ones_estimated():
    counted = figures("hello", usage=Usage(prompt_tokens=7, completion_tokens=2))
    assert (counted.prompt_tokens, counted.completion_tokens, counted.estimated) == (7, 2, 0)
    guessed = figures("hello " * 100)
    assert guessed.estimated == 1 and guessed.prompt_tokens > 100


def test_an_agent_goes_on_after_calls():
    turns = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "found"},
    ]
    agent = GroupFigures()
    logged = AskedRequest({"messages": turns}, None, "m", at=datetime(2026, 1, 1, tzinfo=UTC))
    agent.add(logged, logged.asked())
    assert is_agent(agent) and agent.guess() is None
    assert not is_agent(figures("go"))


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
