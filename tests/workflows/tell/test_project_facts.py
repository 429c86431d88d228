"""What is known of a project, how its report stands, and what the console's buttons do."""

import dataclasses
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.report import sample_report as sample
from tests.report.sample_full import candidate, full
from tests.report.sample_report import report
from tests.store.examples import trace
from tests.workflows.shift.shifting import START

from freehold.errors import ConfigError, UsageError
from freehold.store import audit, open_store
from freehold.types.evaluated import Freeze
from freehold.types.evaluation import Task
from freehold.types.report import Report
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.types.verdict import EvidenceAge, EvidenceBasis
from freehold.workflows.project import open_project
from freehold.workflows.shift import keys
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.tell.buttons import KeyNameBody, NewKeyBody, add_key, revoke_key
from freehold.workflows.tell.project_facts import journey_of, journey_of_project, project_facts
from freehold.workflows.tell.report import find, rewrite, valid_until, with_standing, write_report

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
def project_of_project_facts(tmp_path, monkeypatch):
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


def test_a_backup_is_advised_for_a_store_that_is_damaged_and_not_for_one_that_is_out_of_reach(
    project_of_project_facts,
):
    damaged = project_of_project_facts.root / ".freehold" / "freehold.sqlite"
    damaged.parent.mkdir()
    damaged.write_bytes(b"not a database" * 100)
    commands = [one.command for one in journey_of_project(project_of_project_facts, at=AT).next.others]
    assert "freehold store restore FILE" in commands
    pytest.importorskip("psycopg")
    settings = dataclasses.replace(
        project_of_project_facts.settings, database_url="postgresql://freehold@127.0.0.1:1/none"
    )
    away = dataclasses.replace(project_of_project_facts, settings=settings)
    state = journey_of_project(away, at=AT)
    assert state.stage == "broken" and not state.next.others


def test_a_project_is_told_step_by_step_as_its_store_fills(project_of_project_facts):
    assert journey_of(None, at=AT).stage == "named"
    assert not (project_of_project_facts.root / ".freehold").exists(), "a question leaves no folder behind"
    with open_store(project_of_project_facts.store_url) as store:
        store.add_traces([trace(1), trace(2)])
    assert facts(project_of_project_facts).traces == 2 and journey_of(None, at=AT).stage == "imported"
    told = "where no record says what is right, answers of gpt-4o would be learned, which is unclear"
    assert journey_of(None, at=AT).learning.startswith(told)
    dataset = sample.report().dataset
    put(project_of_project_facts, dataset)
    built = facts(project_of_project_facts)
    assert (built.dataset_id, built.train, built.held_out) == (dataset.id, 906, 246)
    assert (built.incumbent, str(built.ending.shutdown)) == ("gpt-4o", "2027-01-14")
    assert built.learning is None, "people gave all of its right answers"
    frozen = Freeze(
        id="1" * 32, at=AT, dataset_id=dataset.id, model="gpt-4o", split="held_out", repeats=1, samples=246,
        answered=245, failed=1, file="x",
    )  # fmt: skip
    put(project_of_project_facts, frozen)
    assert facts(project_of_project_facts).frozen == 245 and journey_of(None, at=AT).stage == "frozen"
    put(project_of_project_facts, sample.candidate().trained)
    assert facts(project_of_project_facts).trained == 1 and journey_of(None, at=AT).stage == "measured"
    one = sample.candidate()
    put(project_of_project_facts, one.comparison, one.ruling, one.verdict, sample.report(one))
    found = facts(project_of_project_facts).verdict
    assert (found.outcome, found.codes, found.n, found.needed_n) == ("hold", (), 246, 1400)
    assert (found.model, found.candidate) == (sample.MODEL, sample.MODEL)
    assert found.at == sample.report().at
    assert journey_of_project(project_of_project_facts, at=AT).stage == "hold"


def test_a_rollout_is_told_as_it_stands(project_of_project_facts):
    promoting = msgspec.structs.replace(sample.candidate().verdict, outcome="promote")
    put(project_of_project_facts, promoting)
    with open_store(project_of_project_facts.store_url) as store:
        rollout.start(store, ROUTE, TERMS, who="t", at=AT - timedelta(hours=1))
        now = facts(project_of_project_facts).rollout
        assert (now.state, now.share, now.is_last_share) == ("shadow", 0.0, False)
        assert "0 of 1 independent users seen" in now.missing
        rollout.advance(store, "helpdesk", who="t", at=AT, without=rollout.GATES)
        assert (
            facts(project_of_project_facts).rollout.state,
            facts(project_of_project_facts).rollout.share,
        ) == ("canary", 0.1)
        store.put(msgspec.structs.replace(promoting, id="7" * 32))
        assert facts(project_of_project_facts).rollout.verdict_is_newer
        rollout.rollback(store, "helpdesk", who="t", at=AT, why="complaints")
    assert facts(project_of_project_facts).rollout.why == "complaints"
    assert journey_of_project(project_of_project_facts, at=AT).stage == "promote", (
        "another verdict was made since"
    )


def test_a_file_with_a_mistake_is_said_and_one_that_is_not_there_is_an_error(project_of_project_facts):
    (project_of_project_facts.root / "freehold.toml").write_text("[app]\nname = 3\n")
    state = journey_of(None, at=AT)
    assert state.stage == "broken" and "app.name" in state.next.why
    with pytest.raises(ConfigError, match="no such file"):
        journey_of(project_of_project_facts.root / "missing.toml", at=AT)


FIRST = msgspec.structs.replace(report(), id="aa11" * 8)
SECOND = msgspec.structs.replace(report(), id="aa22" * 8)


def test_a_report_is_a_page_its_data_and_the_latest(tmp_path):
    write_report(FIRST, tmp_path)
    written = write_report(SECOND, tmp_path)
    assert (tmp_path / "latest.html").read_text() == (tmp_path / f"report-{SECOND.id[:12]}.html").read_text()
    assert msgspec.json.decode(Path(written.json).read_bytes(), type=Report) == SECOND
    assert (tmp_path / f"report-{SECOND.id[:12]}.md").read_text().startswith("# helpdesk")
    assert len(list(tmp_path.iterdir())) == 7


def test_a_report_is_found_by_the_start_of_its_id(project):
    with pytest.raises(UsageError, match="no report yet"):
        find(project)
    with open_store(project.store_url) as store:
        store.put(FIRST)
        store.put(SECOND)
    assert find(project) == SECOND
    assert find(project, "aa11") == FIRST
    with pytest.raises(UsageError, match="2 reports have an id that begins with aa"):
        find(project, "aa")
    with pytest.raises(UsageError, match="no reports have an id that begins with ff"):
        find(project, "ff")
    found, written = rewrite(project, "aa11")
    assert msgspec.structs.replace(found, standing=None) == FIRST
    assert (project.state / "reports" / "latest.html").exists()
    assert written.id == FIRST.id and not found.standing.is_latest
    assert found.standing.next.command.startswith("freehold ")


def test_what_is_shared_is_a_file_of_its_own(project):
    with open_store(project.store_url) as store:
        store.put(FIRST)
    found, written = rewrite(project, share=True)
    assert found.is_shared and written.html.endswith(f"report-{FIRST.id[:12]}-shared.html")
    assert not (project.state / "reports" / "latest.html").exists(), "what was kept stays the latest"


def age(days, most=90.0):
    return EvidenceAge(
        gate="quality", record_id="c", made_at=AT - timedelta(days=days), days=days, max_age_days=most, stale=(),
        renew="freehold migrate",
    )  # fmt: skip


def test_it_holds_until_the_first_thing_ends():
    assert valid_until((age(10),), None, incumbent="gpt-4o")[0] == date(2027, 2, 17)
    until, why = valid_until((age(10),), date(2027, 1, 14), incumbent="gpt-4o")
    assert (until, why.split(" is ")[0]) == (date(2027, 1, 14), "gpt-4o")
    assert valid_until((age(10, None),), None, incumbent=None) == (None, "")


@pytest.fixture
def project_of_standing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "helpdesk"\n[incumbent]\nmodel = "gpt-4o"\n')
    return open_project()


def standing(project, report):
    with open_store(project.store_url) as store:
        store.put(report)
        for one in report.candidates:
            if one.verdict is not None:
                store.put(one.verdict)
        return with_standing(project, store, report, at=AT).standing


def test_how_things_stand_is_told_and_what_was_measured_stays(project_of_standing):
    measured = EvidenceBasis(parts={}, made_at={"quality": AT - timedelta(days=10)})
    one = candidate()
    one = msgspec.structs.replace(one, verdict=msgspec.structs.replace(one.verdict, evidence=measured))
    report = full(standing=None, candidates=(one,))
    found = standing(project_of_standing, report)
    assert (found.stage, found.is_latest, found.days_left) == ("hold", True, 46)
    assert found.next.command == "freehold import FILE --held-out"
    assert (found.valid_until, found.invalid) == (date(2027, 1, 14), ())
    assert found.cost is None and found.cost_why_not
    assert found.cost_command.startswith("freehold cost")


@pytest.fixture
def store(project):
    with open_store(project.store_url) as store:
        yield store


def test_a_key_is_made_told_once_and_revoked(project, store):
    body = NewKeyBody(name="eu", role="read", expires="90d", requests_per_minute="60", usd_per_day="2.5")
    made = add_key(project, store, body, who="ada", at=START)
    found = keys.shown(store, made.secret, at=START)
    assert found is not None and (found.role, found.limits.requests_per_minute) == ("read", 60)
    assert str(found.limits.usd_per_day) == "2.5" and found.made_by == "ada"
    assert project.keys_file.exists(), "an older copy of the store would be noticed"
    revoke_key(project, store, KeyNameBody(name="eu"), who="bo", at=START)
    assert keys.shown(store, made.secret, at=START) is None
    assert [(one.action, one.who) for one in audit.entries(store.database)] == [
        ("key.add", "ada"),
        ("key.revoke", "bo"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a/b"},
        {"expires": "soon"},
        {"requests_per_minute": "many"},
        {"usd_per_day": "-1"},
        {"routes": "nothing, here"},
    ],
)
def test_what_a_key_cannot_be_is_refused_and_none_is_made(project, store, wrong):
    with pytest.raises(UsageError):
        add_key(project, store, NewKeyBody(**{"name": "x"} | wrong), who="ada", at=START)
    assert keys.listed(store, at=START) == []
