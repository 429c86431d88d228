import json

import pytest
from tests.workflows.incumbent.fine_tuning_api import KEY, Api
from tests.workflows.journey.test_rescue import training_file


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setenv(KEY, "sk-test")
    server = Api()
    server.logprobs = True
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def harvest(freehold, api, tmp_path):
    training_file(tmp_path / "train.jsonl", 60)

    def run(*arguments):
        named = ("--base-url", api.url, "--api-key-env", KEY, "--harvest", *arguments)
        return freehold("rescue", "train.jsonl", *named)

    return run


def test_what_it_costs_is_said_before_anything_is_sent(harvest, api, tmp_path):
    ran = harvest("--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert not api.asked
    assert not (tmp_path / "freehold-rescue" / ".freehold" / "harvest").exists()
    assert {part["name"]: part["requests"] for part in ran.json["parts"]}["repeats"] % 3 == 0
    assert "is ruled unclear" in ran.err
    assert "answers to training samples: " in ran.err and "together about $" in ran.err
    ran = harvest()
    assert ran.code == 2 and "paid requests need your consent" in ran.err
    assert not api.asked


def test_it_is_taken_and_can_be_imported(harvest, freehold, api, tmp_path, monkeypatch):
    (tmp_path / "open.jsonl").write_text(
        "".join(
            json.dumps({"messages": [{"role": "user", "content": f"open {n} of a lamp"}]}) + "\n"
            for n in range(7)
        )
    )
    ran = harvest("--budget-usd", "5", "--unlabelled", "open.jsonl")
    assert ran.code == 0, ran.err
    assert "answers to requests that have none: 7 of 7 answered by ft:gpt-4o-mini" in ran.out
    assert "not to be had: critiques: no candidate has been evaluated yet" in ran.out
    folder = tmp_path / "freehold-rescue"
    monkeypatch.chdir(folder)
    ran = freehold("import", "--answers", "incumbent", ".freehold/harvest/traffic.jsonl", "--json")
    assert ran.items[0]["new"] == 7, ran.err
    ran = freehold("traces", "export", "out.jsonl")
    assert ran.code == 0, ran.err
    traces = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    traces = [one for one in traces if "harvest" in one["source"]]
    assert len(traces) == 7
    assert all(one["response"]["choices"][0]["logprobs"]["content"][0]["top_logprobs"] for one in traces)
    assert all(one.get("gold") is None for one in traces)


def test_a_small_budget_ends_it_with_3(harvest, api):
    ran = harvest("--budget-usd", "0.0005", "--json")
    assert ran.code == 3, ran.err
    assert float(ran.json["spent_usd"]) <= 0.0005
    assert ran.json["stopped"].startswith("the budget")


def test_options_of_a_harvest_alone_are_refused(refused, harvest):
    refused("rescue", "train.jsonl", "--dry-run", message="belong to --harvest", hint="--prepare")
