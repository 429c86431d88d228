import json

import pytest
from benchmarks.mixed_log import as_record, mixed_log


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(as_record(one)) + "\n" for one in mixed_log(6, requests=300, tasks=5)))
    return file


def test_tasks_of_a_file_are_shown(freehold, log):
    shown = freehold("tasks", str(log)).out
    assert "5 tasks in 300 requests over 29.9 days" in shown
    assert "1. " in shown and "score    narrow" in shown and "lora" in shown


def test_json_has_all_of_it(freehold, log):
    found = freehold("tasks", str(log), "--json").json
    assert found["version"] == 1 and found["requests"] == 300 and len(found["tasks"]) == 5
    assert all(task["match"] for task in found["tasks"])
    totals = [task["score"]["total"] for task in found["tasks"]]
    assert totals == sorted(totals, reverse=True)


def test_captured_traces_are_looked_at(freehold, traffic):
    (task,) = freehold("tasks", "--captured", "--json").json["tasks"]
    assert task["requests"] == 80


def test_mistakes(refused, project, log):
    refused("tasks", message="name log files, or look at what is captured")
    refused("tasks", "--captured", str(log), message="name log files")
    refused("tasks", "--captured", message="no traces to find tasks in")
