"""Requests of a log's other tasks, from the file that a project of one task names and from a store of all tasks."""

import json
from collections import Counter

import msgspec
import pytest
from benchmarks.mixed_log import as_record, mixed_log

from freehold.datasets.sampling import Recipe, sample_of
from freehold.datasets.tasks import any_fits, asked_task
from freehold.evals.scorers import for_task
from freehold.store import open_store
from freehold.types.progress import Silent
from freehold.workflows.data.imports import import_file
from freehold.workflows.journey import other_tasks as others_of_log
from freehold.workflows.journey.init import DraftRequest
from freehold.workflows.journey.init_tasks import draft_all, draft_task
from freehold.workflows.journey.log_tasks import tasks_of_files
from freehold.workflows.journey.other_tasks import DRAWN, log_identity, other_tasks
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
    monkeypatch.setattr(others_of_log, "MOST", 40)
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


def test_a_long_log_is_drawn_from_evenly(project, log, monkeypatch):
    assert DRAWN == 2_000
    monkeypatch.setattr("freehold.workflows.journey.other_tasks.DRAWN", 150)
    found = others(project)
    assert found.tasks
    assert sum(len(one.samples) for one in found.tasks) <= 150
