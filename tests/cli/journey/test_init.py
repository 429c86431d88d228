import json

import pytest
from benchmarks.mixed_log import as_record, mixed_log


@pytest.fixture
def log(tmp_path):
    rows = [
        {
            "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": f"message {number}"}]},
            "response": {
                "choices": [{"message": {"role": "assistant", "content": "yes" if number % 2 else "no"}}]
            },
        }
        for number in range(80)
    ]
    (tmp_path / "traffic.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_a_project_is_written_from_a_log(freehold, log, tmp_path):
    drafted = freehold("init", "traffic.jsonl", "--dir", "app", "--json").json
    assert (drafted["incumbent"], drafted["scorer"]) == ("gpt-4o", "label")
    assert 'model = "gpt-4o"' in (tmp_path / "app" / "freehold.toml").read_text()


def test_people_are_told_what_was_read_and_what_is_left_to_say(freehold, log):
    shown = freehold("init", "traffic.jsonl").out
    assert shown.startswith("traffic.jsonl: request/response pairs, 80 records, 0 rejected\n")
    assert "\n  model   gpt-4o\n" in shown
    assert shown.endswith("Then: freehold migrate\n")


def test_without_a_log_traffic_comes_first(freehold):
    assert freehold("init", "--incumbent", "gpt-4o").out.endswith("Then: freehold up\n")


def test_mistakes(refused, freehold, log):
    refused("init", "gone.jsonl", message="gone.jsonl: no such file")
    freehold("init", "traffic.jsonl")
    refused("init", "traffic.jsonl", message="freehold.toml is there already", hint="--replace")
    assert freehold("init", "traffic.jsonl", "--replace").code == 0


def test_a_task_of_several_is_a_project_and_so_is_each(freehold, refused, tmp_path):
    log = mixed_log(6, requests=200, tasks=4)
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(as_record(one)) + "\n" for one in log))
    (best, *_) = freehold("tasks", "mixed.jsonl", "--json").json["tasks"]
    one = freehold("init", "mixed.jsonl", "--task", best["name"], "--dir", "one", "--json").json
    assert (one["task"], one["requests"]) == (best["name"], best["requests"])
    every = freehold("init", "mixed.jsonl", "--all", "--dir", "tasks")
    assert "written: 4 projects" in every.out
    assert len(list((tmp_path / "tasks").glob("*/freehold.toml"))) == 4
    refused("init", "mixed.jsonl", "--all", "--task", "x", message="--task and --all exclude each other")
    refused("init", "--all", message="no log to find tasks in", hint="freehold init FILE --task NAME")


def test_a_misspelt_scorer_is_refused_with_the_choices(refused, tmp_path):
    refused("init", "--scorer", "lable", message="unknown scorer lable", hint="did you mean label?")
    assert not (tmp_path / "freehold.toml").exists()
