"""A project begins from a log, or as a demonstration."""

import json
import tomllib

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


def test_mistakes(refused, freehold, log):
    refused("init", "gone.jsonl", message="gone.jsonl: no such file")
    freehold("init", "traffic.jsonl")
    refused("init", "traffic.jsonl", message="freehold.toml is there already", hint="move it away")


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
    refused("init", "--all", message="freehold.toml: no such file", hint="freehold init")


def test_a_project_of_another_kind_in_the_folder_is_told_before_anything_runs(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "freehold.toml").write_text("[ap]\n")
    refused("demo", "--dir", "mine", message="unknown key ap", hint="did you mean app?")


def test_the_folder_of_another_example_is_refused_and_left_alone(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "freehold.toml").write_text('[app]\nname = "tickets"\n')
    refused(
        "demo", "--dir", "mine", "--example", "helpdesk",
        message="holds another project (tickets), not the example helpdesk", hint="--dir FOLDER",
    )  # fmt: skip
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["freehold.toml"]


FILE = """
model_list:
  - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, api_key: sk-live-abcdef, mock: 1}}
general_settings: {master_key: sk-live-master}
"""


def test_the_file_is_shown_and_the_rest_is_said_beside_it(freehold, tmp_path):
    (tmp_path / "c.yaml").write_text(FILE)
    ran = freehold("import-config", "c.yaml")
    assert ran.code == 0
    assert tomllib.loads(ran.out)["incumbent"]["api_key_env"] == "OPENAI_API_KEY"
    assert "c.yaml: LiteLLM" in ran.err
    assert "general_settings: keys are made by commands" in ran.err
    assert "OPENAI_API_KEY (its value stands at model_list[0].litellm_params.api_key)" in ran.err
    assert "sk-live" not in ran.out + ran.err
