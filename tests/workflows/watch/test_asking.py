import asyncio
from decimal import Decimal

import pytest
from tests.signing.vendors import Azure
from tests.workflows.prove.test_evaluate import sample
from tests.workflows.shift.shifting import ROUTE

from freehold.progress import Silent
from freehold.types.dataset import RecordedAsking
from freehold.types.evaluation import Task
from freehold.workflows.project import open_project
from freehold.workflows.prove.task import task_of
from freehold.workflows.watch.asking import PeriodScores, ask
from freehold.workflows.watch.plan import CheckPlan

LIVE = CheckPlan("live", [sample(n, gold=None) for n in range(4)], ["refund"] * 4, Decimal(1), ())


@pytest.fixture
def scores(project, incumbent):
    def run(plan, **changes):
        return asyncio.run(ask(project, ROUTE, plan, task_of(project), progress=Silent(), **changes))

    return run


def test_nothing_planned_asks_nothing(scores, incumbent):
    assert scores(LIVE._replace(samples=[], known=[])) == PeriodScores([], 0, None)
    assert incumbent.seen == []


def test_live_the_incumbent_is_asked_and_paid(scores, incumbent):
    found = scores(LIVE._replace(known=["refund", "other", None, "refund"]))
    assert found.differences == [0.0, -1.0, -1.0, 0.0], "a missing answer of the candidate counts as wrong"
    assert found.spent_usd == 4 * (100 * Decimal(10) + 10 * Decimal(100)) / 1_000_000
    assert {one["model"] for one in incumbent.seen} == {"gpt-4o"}


def test_an_incumbent_with_credentials_of_a_cloud_is_asked_with_them(
    project, incumbent, upstream, monkeypatch
):
    cloud = Azure(upstream)
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    file = project.root / "freehold.toml"
    signed = file.read_text().replace(incumbent.url, cloud.url, 1)
    file.write_text(signed.replace("price", 'credentials = "azure"\nprice', 1))
    configured = open_project(file)
    found = asyncio.run(ask(configured, ROUTE, LIVE, task_of(configured), progress=Silent()))
    assert (len(found.differences), found.unscored) == (4, 0)
    assert cloud.number == 1 and not cloud.refused and incumbent.seen == []


@pytest.mark.process
def test_the_incumbent_is_scored_too_where_the_scorer_looks_at_answers_alone(project, incumbent):
    task = Task(name="support", scorer="regex", options={"pattern": "paid"})
    plan = LIVE._replace(known=["refund", "paid", "paid", "refund"])
    found = asyncio.run(ask(project, ROUTE, plan, task, progress=Silent()))
    assert found.differences == [0.0, 1.0, 1.0, 0.0]


def test_a_sample_asks_with_its_own_parameters(scores, incumbent):
    own = [sample(0, gold=None, asking=RecordedAsking(temperature=0.25)), *LIVE.samples[1:]]
    scores(LIVE._replace(samples=own))
    assert [one.get("temperature") for one in incumbent.seen].count(0.25) == 1
    assert not any("max_tokens" in one for one in incumbent.seen), "the live answer had no limit either"


def test_frozen_the_candidate_is_asked_and_nothing_is_paid(project, incumbent, monkeypatch):
    monkeypatch.setenv("FREEHOLD_PORT", incumbent.url.rpartition(":")[2])
    project = open_project()
    known = ["refund", "refund", None, "other"]
    plan = LIVE._replace(against="frozen", known=known, samples=[sample(n, gold="refund") for n in range(4)])
    found = asyncio.run(ask(project, ROUTE, plan, task_of(project), progress=Silent()))
    assert (found.differences, found.unscored, found.spent_usd) == ([0.0, 0.0, 1.0], 1, None)
    assert {one["model"] for one in incumbent.seen} == {ROUTE.candidate.model or ROUTE.model}
