import json
from collections import Counter

import pytest
from benchmarks.mixed_log import as_record, mixed_log

from freehold.errors import UsageError
from freehold.store import audit, open_store
from freehold.types.config.data import MatchConfig
from freehold.types.progress import Silent
from freehold.workflows.data import dataset
from freehold.workflows.data.imports import import_file, named_files
from freehold.workflows.journey.init import DraftRequest
from freehold.workflows.journey.init_tasks import CAPTURED, draft_all, draft_task, take_over
from freehold.workflows.journey.log_tasks import tasks_captured, tasks_of_files
from freehold.workflows.project import open_project

LOG = mixed_log(6, requests=300, tasks=5)
MEANT = Counter(one.task for one in LOG)


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(as_record(one)) + "\n" for one in LOG))
    return file


def test_each_project_imports_and_builds_its_own_tasks_requests(log, tmp_path):
    made = draft_all(DraftRequest(tmp_path / "tasks", files=(log,)), progress=Silent())
    read = Counter()
    for one in made.drafts:
        project = open_project(tmp_path / "tasks" / one.task / "freehold.toml")
        (file,) = named_files(project)
        result = import_file(project, file.path, progress=Silent())
        assert result.read == one.requests
        assert result.passed_over == {"another task's request ([[data.match]])": len(LOG) - one.requests}
        built = dataset.build(project)
        assert 0 < samples_in(built) <= one.requests
        read[one.requests] += 1
    assert read == Counter(MEANT.values()) and made.left_out == {}


def test_a_build_leaves_out_what_other_tasks_say_in_the_same_store(log, tmp_path):
    """As with captured traffic, which holds all tasks."""
    (tmp_path / "freehold.toml").write_text('[app]\nname = "all"\n')
    everything = open_project(tmp_path / "freehold.toml")
    import_file(everything, log, progress=Silent())
    whole = dataset.build(everything)
    (tmp_path / "freehold.toml").unlink()
    one = draft_task(DraftRequest(tmp_path, files=(log,)), _best(log), progress=Silent())
    project = open_project(tmp_path / "freehold.toml")
    part = dataset.build(project)
    assert samples_in(part) <= one.requests < len(LOG)
    assert samples_in(part) < samples_in(whole)


@pytest.fixture
def everything(log, tmp_path):
    """A project whose store holds the traffic of all tasks, as a gateway's does."""
    (tmp_path / "freehold.toml").write_text('[app]\nname = "all"\n')
    project = open_project(tmp_path / "freehold.toml")
    import_file(project, log, progress=Silent())
    return project


def test_what_is_captured_becomes_projects_with_the_requests_of_their_task(everything, tmp_path):
    made = draft_all(DraftRequest(tmp_path / "tasks"), captured=everything, progress=Silent())
    assert Counter(one.requests for one in made.drafts) == Counter(MEANT.values())
    for one in made.drafts:
        project = open_project(tmp_path / "tasks" / one.task / "freehold.toml")
        (file,) = named_files(project)
        assert file.path.parent == project.state and file.path.stat().st_mode & 0o077 == 0
        result = import_file(project, file.path, progress=Silent())
        assert (result.read, result.rejected) == (one.requests, 0)
        assert 0 < samples_in(dataset.build(project)) <= one.requests
    with open_store(everything.store_url) as store:
        assert any(one.action == "export" for one in audit.entries(store.database)), (
            "who took it is on record"
        )


def test_one_captured_task_keeps_conversations_users_and_times(everything, tmp_path):
    with open_store(everything.store_url) as store:
        before = {(one.conversation_id, one.user, one.at) for one in store.traces()}
    best = tasks_captured(everything).tasks[0]
    folder = tmp_path / "one"
    one = draft_task(DraftRequest(folder), best.name, captured=everything, progress=Silent())
    project = open_project(folder / "freehold.toml")
    import_file(project, named_files(project)[0].path, progress=Silent())
    with open_store(project.store_url) as store:
        taken = {(one.conversation_id, one.user, one.at) for one in store.traces()}
    assert taken and taken <= before
    assert one.requests == best.requests
    with pytest.raises(UsageError, match="is there already"):
        draft_task(DraftRequest(folder), best.name, captured=everything, progress=Silent())


def samples_in(built):
    return sum(split.samples for split in built.splits)


def _best(log):
    return tasks_of_files([log], data=DraftRequest(log.parent).data).tasks[0].name


def test_unknown_names_and_projects_that_are_there_are_refused(log, tmp_path):
    request = DraftRequest(tmp_path / "tasks", files=(log,))
    with pytest.raises(UsageError, match="no task is called nothing-like-it"):
        draft_task(request, "nothing-like-it", progress=Silent())
    draft_all(request, progress=Silent())
    with pytest.raises(UsageError, match="is there already"):
        draft_all(request, progress=Silent())


SORT, WRITE = "Sort the message.", "Write a reply."


@pytest.fixture
def everything_of_captured(tmp_path):
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


def test_each_folder_gets_its_own_tasks_requests_and_nobody_else_may_read_them(
    everything_of_captured, tmp_path
):
    folders = {tmp_path / "sort": task(SORT), tmp_path / "write": task(WRITE)}
    written = take_over(everything_of_captured, folders, who="ada", progress=Silent())
    for (folder, file), parity in zip(written.items(), (0, 1), strict=True):
        assert file == folder / CAPTURED and file.stat().st_mode & 0o077 == 0
        assert (file.parent / ".gitignore").read_text() == "*\n"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [one["conversation_id"] for one in lines] == [f"c{number}" for number in range(parity, 6, 2)]
    with open_store(everything_of_captured.store_url) as store:
        (entry,) = [one for one in audit.entries(store.database) if one.action == "export"]
    assert entry.who == "ada" and entry.detail["traces"] == 6


def test_the_folder_that_holds_them_already_is_refused(everything_of_captured, tmp_path):
    with pytest.raises(UsageError, match="needs a folder of its own"):
        take_over(everything_of_captured, {tmp_path: task(SORT)}, progress=Silent())
    assert not (tmp_path / CAPTURED).exists()
