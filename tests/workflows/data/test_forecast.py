"""What a dataset would hold is said before anything is stored, by the functions that build it."""

import json

import pytest
from tests.datasets.agent_log import agent_log

from freehold.store import open_store
from freehold.types.progress import Silent
from freehold.workflows.data import dataset as workflow
from freehold.workflows.data import forecast
from freehold.workflows.data.imports import LogFile, foresee, import_file, preview_file
from freehold.workflows.project import open_project

CONFIG = '[app]\nname = "agent"\n[curate]\npersonal_data = "patterns"\n[data]\nfiles = ["agent.jsonl"]\n'
BROKEN = {"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(CONFIG)
    lines = [json.dumps(call.record) for call in agent_log(sessions=60)]
    lines += [json.dumps({"request": BROKEN, "response": {"choices": [{"message": {"content": "z"}}]}})] * 2
    (tmp_path / "agent.jsonl").write_text("\n".join([*lines, "{"]) + "\n")
    monkeypatch.chdir(tmp_path)
    return open_project()


def test_the_forecast_is_what_the_build_then_does(project):
    found = preview_file(project, project.path("agent.jsonl")).would_be
    with open_store(project.store_url) as store:
        assert store.count_traces(complete_only=False) == 0, "nothing is stored"
    import_file(project, project.path("agent.jsonl"), progress=Silent())
    built = workflow.build(project)
    assert {s.name: s.samples for s in built.splits} == {
        "train": found.train, "validation": found.validation, "held_out": found.held_out,
    }  # fmt: skip
    kept = found.train + found.validation + found.held_out
    assert found.whole and found.conversations > 20
    assert found.records == kept + sum(found.left_out.values()) + sum(found.rejected.values())
    # The store takes a record that was logged twice once; a file that is looked at holds it twice.
    assert {reason for reason in found.left_out if found.left_out[reason] != built.dropped.get(reason)} <= {
        "same request again"
    }


def test_rejects_are_counted_by_reason_without_their_place(project):
    found = preview_file(project, project.path("agent.jsonl")).would_be
    assert sorted(found.rejected.values()) == [1, 2]
    assert any("messages[…]: roles out of order: a tool's result, but no call" in r for r in found.rejected)


def test_of_a_long_file_the_first_records_are_looked_at(project, monkeypatch):
    monkeypatch.setattr(forecast, "LOOKED_AT", 50)
    found = preview_file(project, project.path("agent.jsonl")).would_be
    assert (found.records, found.whole) == (50, False)


def test_a_file_held_out_teaches_nothing_and_limits_are_a_reason(project):
    path = project.path("agent.jsonl")
    held = foresee(project, [LogFile(path, True)], progress=Silent())
    assert held.train == held.validation == 0 and held.held_out > 50
    project.path("freehold.toml").write_text(CONFIG + "limit = 5\n")
    found = foresee(open_project(), [LogFile(path, False)], progress=Silent())
    assert found.train == 5 and found.left_out["beyond [data] limit or held_out_limit"] > 10


def test_a_file_without_a_sound_record_foretells_nothing(project):
    path = project.path("bad.jsonl")
    path.write_text(json.dumps(BROKEN) + "\n")
    found = preview_file(project, path).would_be
    assert (found.train, found.held_out, sum(found.rejected.values())) == (0, 0, 1)


def test_check_looks_at_the_files_before_they_are_imported(project):
    card = workflow.check(project)
    assert card.origins[0].source == "import:agent.jsonl" and card.splits["train"].samples > 30
    with open_store(project.store_url) as store:
        assert store.count_traces(complete_only=False) == 0


def test_a_dataset_may_only_hold_out_where_nothing_is_trained(project):
    project.path("freehold.toml").write_text(
        CONFIG.replace("files =", "held_out_files =") + '[serve]\nengine = "echo"\n'
    )
    project = open_project()
    import_file(project, project.path("agent.jsonl"), held_out=True, progress=Silent())
    built = workflow.build(project)
    assert built.split("train").samples == 0 and built.split("held_out").samples > 100


def test_right_answers_were_given_by_no_model(project):
    assert workflow.check(project).origins[0].model == "rented"
    project.path("freehold.toml").write_text(CONFIG + 'answers = "gold"\n')
    assert workflow.check(open_project()).origins[0].model == ""
