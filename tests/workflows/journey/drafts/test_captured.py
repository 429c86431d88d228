"""A task's requests, taken out of a store whole and for its owner's eyes; projects of them: test_init_tasks.py."""

import json

import pytest

from freehold.errors import UsageError
from freehold.store import audit, open_store
from freehold.types.config.matching import MatchConfig
from freehold.types.progress import Silent
from freehold.workflows.data.imports import import_file
from freehold.workflows.journey.drafts.captured import CAPTURED, take_over
from freehold.workflows.project import open_project

SORT, WRITE = "Sort the message.", "Write a reply."


@pytest.fixture
def everything(tmp_path):
    rows = [
        {
            "messages": [
                {"role": "system", "content": (SORT, WRITE)[number % 2]},
                {"role": "user", "content": f"message {number}"},
                {"role": "assistant", "content": f"answer {number}"},
            ],
            "conversation_id": f"c{number}",
        }
        for number in range(6)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "freehold.toml").write_text('[app]\nname = "all"\n')
    project = open_project(tmp_path / "freehold.toml")
    import_file(project, tmp_path / "log.jsonl", progress=Silent())
    return project


def task(system):
    return (MatchConfig(system=(system,)),)


def test_each_folder_gets_its_own_tasks_requests_and_nobody_else_may_read_them(everything, tmp_path):
    folders = {tmp_path / "sort": task(SORT), tmp_path / "write": task(WRITE)}
    written = take_over(everything, folders, who="ada", progress=Silent())
    for (folder, file), parity in zip(written.items(), (0, 1), strict=True):
        assert file == folder / CAPTURED and file.stat().st_mode & 0o077 == 0
        assert (file.parent / ".gitignore").read_text() == "*\n"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [one["conversation_id"] for one in lines] == [f"c{number}" for number in range(parity, 6, 2)]
    with open_store(everything.store_url) as store:
        (entry,) = [one for one in audit.entries(store.database) if one.action == "export"]
    assert entry.who == "ada" and entry.detail["traces"] == 6


def test_the_folder_that_holds_them_already_is_refused(everything, tmp_path):
    with pytest.raises(UsageError, match="needs a folder of its own"):
        take_over(everything, {tmp_path: task(SORT)}, progress=Silent())
    assert not (tmp_path / CAPTURED).exists()
