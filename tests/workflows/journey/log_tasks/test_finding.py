"""Records of mixed logs are told their task: five logs of our own texts, five of public task data."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.mixed_log import as_record, mixed_log

from freehold.datasets.tasks import asked_task, fits
from freehold.errors import InputError
from freehold.types.config import DataConfig
from freehold.workflows.journey.log_tasks.finding import tasks_of_files

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
