import dataclasses
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.report import sample_report as sample
from tests.store.examples import trace

from freehold.errors import ConfigError
from freehold.store import open_store
from freehold.types.evaluated import Freeze
from freehold.types.evaluation import Task
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.tell.project_facts import journey_of, journey_of_project, project_facts

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
CONFIG = '[app]\nname = "helpdesk"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
TERMS = RolloutTerms(
    task=Task(name="helpdesk", scorer="exact", margin=0.03), stages=(0.1, 0.5), shadow_share=0.2, hours_a_stage=0.0,
    users_a_stage=1,
)  # fmt: skip
ROUTE = Route(
    name="helpdesk",
    model="gpt-4o",
    incumbent=Target(endpoint="incumbent"),
    candidate=Target(endpoint="local", model="m"),
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text(CONFIG)
    return open_project()


def put(project, *records):
    with open_store(project.store_url) as store:
        for one in records:
            store.put(one)


def facts(project):
    with open_store(project.reading_url) as store:
        return project_facts(project, store, at=AT)


def test_an_empty_folder_is_left_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert journey_of(None, at=AT).stage == "fresh"
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_advised_for_a_store_that_is_damaged_and_not_for_one_that_is_out_of_reach(project):
    damaged = project.root / ".freehold" / "freehold.sqlite"
    damaged.parent.mkdir()
    damaged.write_bytes(b"not a database" * 100)
    commands = [one.command for one in journey_of_project(project, at=AT).next.others]
    assert "freehold store restore FILE" in commands
    pytest.importorskip("psycopg")
    settings = dataclasses.replace(project.settings, database_url="postgresql://freehold@127.0.0.1:1/none")
    away = dataclasses.replace(project, settings=settings)
    state = journey_of_project(away, at=AT)
    assert state.stage == "broken" and not state.next.others


def test_a_project_is_told_step_by_step_as_its_store_fills(project):
    assert journey_of(None, at=AT).stage == "named"
    assert not (project.root / ".freehold").exists(), "a question leaves no folder behind"
    with open_store(project.store_url) as store:
        store.add_traces([trace(1), trace(2)])
    assert facts(project).traces == 2 and journey_of(None, at=AT).stage == "imported"
    dataset = sample.report().dataset
    put(project, dataset)
    built = facts(project)
    assert (built.dataset_id, built.train, built.held_out) == (dataset.id, 906, 246)
    assert (built.incumbent, str(built.ending.shutdown)) == ("gpt-4o", "2027-01-14")
    frozen = Freeze(
        id="1" * 32, at=AT, dataset_id=dataset.id, model="gpt-4o", split="held_out", repeats=1, samples=246,
        answered=245, failed=1, file="x",
    )  # fmt: skip
    put(project, frozen)
    assert facts(project).frozen == 245 and journey_of(None, at=AT).stage == "frozen"
    put(project, sample.candidate().trained)
    assert facts(project).trained == 1 and journey_of(None, at=AT).stage == "measured"
    one = sample.candidate()
    put(project, one.comparison, one.ruling, one.verdict, sample.report(one))
    found = facts(project).verdict
    assert (found.outcome, found.codes, found.n, found.needed_n) == ("hold", (), 246, 1400)
    assert (found.model, found.candidate) == (sample.MODEL, sample.MODEL)
    assert found.at == sample.report().at
    assert journey_of_project(project, at=AT).stage == "hold"


def test_a_rollout_is_told_as_it_stands(project):
    promoting = msgspec.structs.replace(sample.candidate().verdict, outcome="promote")
    put(project, promoting)
    with open_store(project.store_url) as store:
        rollout.start(store, ROUTE, TERMS, who="t", at=AT - timedelta(hours=1))
        now = facts(project).rollout
        assert (now.state, now.share, now.is_last_share) == ("shadow", 0.0, False)
        assert "0 of 1 independent users seen" in now.missing
        rollout.advance(store, "helpdesk", who="t", at=AT, without=rollout.GATES)
        assert (facts(project).rollout.state, facts(project).rollout.share) == ("canary", 0.1)
        store.put(msgspec.structs.replace(promoting, id="7" * 32))
        assert facts(project).rollout.verdict_is_newer
        rollout.rollback(store, "helpdesk", who="t", at=AT, why="complaints")
    assert facts(project).rollout.why == "complaints"
    assert journey_of_project(project, at=AT).stage == "promote", "another verdict was made since"


def test_a_file_with_a_mistake_is_said_and_one_that_is_not_there_is_an_error(project):
    (project.root / "freehold.toml").write_text("[app]\nname = 3\n")
    state = journey_of(None, at=AT)
    assert state.stage == "broken" and "app.name" in state.next.why
    with pytest.raises(ConfigError, match="no such file"):
        journey_of(project.root / "missing.toml", at=AT)
