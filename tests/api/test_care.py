"""What keeps a project, from Python."""

import json

import pytest

import freehold
from freehold.errors import StoreError, UsageError


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n[data]\nfiles = ["log.jsonl"]\n[curate]\npersonal_data = "patterns"\n'
    )
    with (tmp_path / "log.jsonl").open("w") as file:
        for number in range(20):
            pair = {
                "request": {"model": "m", "messages": [{"role": "user", "content": f"message {number}"}]},
                "response": {"choices": [{"message": {"role": "assistant", "content": "yes"}}]},
                "conversation_id": f"c{number // 2}",
            }
            file.write(json.dumps(pair) + "\n")
    return freehold.Project.load(tmp_path)


def test_a_store_is_checked_and_backed_up(project, tmp_path):
    with pytest.raises(StoreError):
        project.care.check_store()
    project.import_traffic()
    assert project.care.check_store().healthy
    assert project.care.back_up(tmp_path / "copy.sqlite").file == str(tmp_path / "copy.sqlite")
    assert (tmp_path / "copy.sqlite").exists()


def test_a_deletion_is_a_rehearsal_unless_it_is_meant(project):
    project.import_traffic()
    assert project.care.forget(conversation="c3").traces == 2
    assert project.care.forget(conversation="c3", dry_run=False).traces == 2
    with pytest.raises(UsageError, match="nothing here"):
        project.care.forget(conversation="c3")
    with pytest.raises(UsageError, match="in one way"):
        project.care.forget()
    assert "forget" in {entry.action for entry in project.care.audit()}
    assert [entry.action for entry in project.care.audit(action="import", last=1)] == ["import"]


def test_what_is_wrong_here_is_told(project):
    assert project.care.diagnose().parts
