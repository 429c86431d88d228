"""Requests of a log's other tasks, from the file that a project of one task names and from a store of all tasks."""

import json
from collections import Counter

import msgspec
import pytest
from benchmarks.mixed_log import as_record, mixed_log

from freehold.datasets.sampling import Recipe, sample_of
from freehold.datasets.tasks import any_fits, asked_task
from freehold.errors import UsageError
from freehold.evals.scorers import for_task
from freehold.progress import Silent
from freehold.store import audit, open_store
from freehold.types.config import MatchConfig
from freehold.workflows.data import dataset
from freehold.workflows.data.imports import import_file, named_files
from freehold.workflows.journey import other_tasks as others_module
from freehold.workflows.journey.init import DraftRequest
from freehold.workflows.journey.init_tasks import CAPTURED, draft_all, draft_task, take_over
from freehold.workflows.journey.log_tasks import tasks_captured, tasks_of_files
from freehold.workflows.journey.other_tasks import log_identity, other_tasks
from freehold.workflows.project import open_project

LOG = mixed_log(6, requests=300, tasks=5)


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(as_record(one)) + "\n" for one in LOG))
    return file


@pytest.fixture
def project(log, tmp_path):
    """A project of the task that suits a move best."""
    request = DraftRequest(tmp_path, files=(log,))
    best = tasks_of_files([log], data=request.data).tasks[0].name
    draft_task(request, best, progress=Silent())
    return open_project(tmp_path / "freehold.toml")


def others(project):
    with open_store(project.store_url) as store:
        return other_tasks(project, store)


def own(project, sample):
    body = msgspec.json.decode(msgspec.json.encode(sample))
    wanted = project.config.data.match
    return any_fits(wanted, asked_task(body, model=wanted[0].model))


def test_the_other_tasks_of_the_file_are_asked_and_its_own_is_not(project, log):
    import_file(project, log, progress=Silent())
    with open_store(project.store_url) as store:
        mine = [sample_of(trace, Recipe()) for trace in store.traces()]
    assert mine and all(own(project, sample) for sample in mine)
    found = others(project)
    assert len(found.tasks) >= 2
    names = {one.name for one in found.tasks}
    assert len(names) == len(found.tasks)
    for one in found.tasks:
        assert 20 <= len(one.samples) <= 120 // len(found.tasks)
        assert len({sample.id for sample in one.samples}) == len(one.samples)
        assert all(sample.target for sample in one.samples), "there is something to compare with"
        assert all(sample.asking.temperature == 0 for sample in one.samples)
        assert not any(own(project, sample) for sample in one.samples)
        for_task(one.task)
        assert one.task.scorer != "exact"
    meant = Counter(one.task for one in LOG)
    told = len(found.tasks) + sum("not asked" in note for note in found.notes)
    assert told == len(meant) - 1, "every other task is asked or has a reason"


def test_the_same_log_gives_the_same_requests_and_fewer_are_the_first_of_more(project, monkeypatch):
    first, again = others(project), others(project)
    assert first == again
    monkeypatch.setattr(others_module, "MOST", 40)
    fewer = others(project)
    assert len(fewer.tasks) == 2
    assert any("40 requests are for 2 tasks" in note for note in fewer.notes)
    for few, many in zip(fewer.tasks, first.tasks, strict=False):
        shorter = min(len(few.samples), len(many.samples))
        assert few.samples[:shorter] == many.samples[:shorter]


def test_traffic_of_other_tasks_in_the_store_counts_as_well(project, log, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", project.store_url)
    everything = open_project(tmp_path / "freehold.toml")
    whole = project.config.data.files
    toml = (tmp_path / "freehold.toml").read_text()
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "freehold.toml").write_text('[app]\nname = "all"\n')
    import_file(open_project(tmp_path / "all" / "freehold.toml"), log, progress=Silent())
    log.unlink()
    assert whole and "match" in toml
    found = others(everything)
    assert len(found.tasks) >= 2
    assert any(note.startswith("log.jsonl: its other tasks are not asked") for note in found.notes)


def test_one_task_of_captured_traffic_asks_the_others_of_the_project_that_captured_it(log, tmp_path):
    """Each folder's own file holds its task's requests only."""
    (tmp_path / "freehold.toml").write_text('[app]\nname = "all"\n')
    captured = open_project(tmp_path / "freehold.toml")
    import_file(captured, log, progress=Silent())
    made = draft_all(DraftRequest(tmp_path / "tasks"), captured=captured, progress=Silent())
    project = open_project(tmp_path / "tasks" / made.drafts[0].task / "freehold.toml")
    assert project.config.train.probe_logs == ("../..",)
    found = others(project)
    assert len(found.tasks) >= 2 and made.drafts[0].task not in {one.name for one in found.tasks}
    with open_store(project.store_url) as store:
        before = log_identity(project, store)
        extra = tmp_path / "more.jsonl"
        extra.write_text(json.dumps(as_record(mixed_log(9, requests=1)[0])) + "\n")
        import_file(captured, extra, progress=Silent())
        assert log_identity(project, store) != before
        (tmp_path / "freehold.toml").write_text("[app\n")
        assert log_identity(project, store) != before
    broken = others(project)
    assert broken.tasks == () and "its other tasks are not asked" in broken.notes[0]


def test_a_project_of_the_whole_log_has_no_other_tasks(log, tmp_path):
    (tmp_path / "freehold.toml").write_text(f'[app]\nname = "all"\n[data]\nfiles = ["{log.name}"]\n')
    project = open_project(tmp_path / "freehold.toml")
    assert others(project) == ((), ())
    with open_store(project.store_url) as store:
        assert log_identity(project, store) == []


def test_personal_data_is_replaced_as_in_a_dataset(tmp_path):
    lines = []
    for n in range(60):
        task = (
            ("Give the mood: good or bad.", "good")
            if n % 2
            else ("Repeat what is said.", f"ann{n}@example.org wrote")
        )
        messages = [
            {"role": "system", "content": task[0]},
            {"role": "user", "content": f"ann{n}@example.org wrote"},
        ]
        answer = {"role": "assistant", "content": task[1]}
        lines.append(json.dumps({"request": {"model": "gpt-4o", "messages": messages},
                                 "response": {"choices": [{"message": answer, "finish_reason": "stop"}]}}))  # fmt: skip
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(lines))
    request = DraftRequest(tmp_path, files=(log,))
    mood = next(one for one in tasks_of_files([log], data=request.data).tasks if one.scorer == "label")
    draft_task(request, mood.name, progress=Silent())
    (found,) = others(open_project(tmp_path / "freehold.toml")).tasks
    assert len(found.samples) == 30
    assert not any("@" in str(sample) for sample in found.samples)


MEANT = Counter(one.task for one in LOG)


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


def test_the_folder_that_holds_them_already_is_refused(everything, tmp_path):
    with pytest.raises(UsageError, match="needs a folder of its own"):
        take_over(everything, {tmp_path: (MatchConfig(system=("Sort it.",)),)}, progress=Silent())
    assert not (tmp_path / CAPTURED).exists()
