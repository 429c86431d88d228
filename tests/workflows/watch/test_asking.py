import asyncio
from decimal import Decimal

import msgspec
import pytest
from tests.signing.vendors import Azure
from tests.workflows.prove.test_evaluate import make_dataset, sample
from tests.workflows.shift.shifting import ROUTE
from tests.workflows.watch.watching import PROMOTED, week

from freehold.errors import UsageError
from freehold.evals.frozen import FrozenAnswers, write_frozen
from freehold.types.asking import RecordedAsking
from freehold.types.evaluation import Task
from freehold.types.progress import Silent
from freehold.types.trace import Usage
from freehold.workflows.project import open_project
from freehold.workflows.prove.results import frozen_file
from freehold.workflows.prove.task import task_of
from freehold.workflows.watch.asking import CheckPlan, PeriodScores, ask, plan_check, request_cost

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


@pytest.fixture
def recent(store):
    week(store, 1)
    return store.latest_traces(100, since=PROMOTED, complete_only=False)


def planned(project, store, recent, *, budget_usd=Decimal(1), seed="a"):
    return plan_check(project, store, recent, 20, budget_usd=budget_usd, seed=seed)


def test_requests_are_chosen_by_the_seed_alone(project, store, recent):
    plan = planned(project, store, recent)
    assert plan == planned(project, store, list(reversed(recent)))
    assert plan.samples != planned(project, store, recent, seed="b").samples
    assert (plan.against, len(plan.samples), plan.known) == ("live", 20, ["refund"] * 20)
    assert plan.notes == () and plan.estimated_usd == Decimal("0.06")


def test_a_failed_or_cut_request_is_not_asked_again(project, store, recent):
    cut = [msgspec.structs.replace(trace, completeness="cut") for trace in recent[:30]]
    plan = planned(project, store, [*cut, *recent[30:]])
    assert len(plan.samples) == len(recent) - 30
    assert f"{len(plan.samples)} users asked in this period, 20 were wanted" in plan.notes


def test_a_budget_for_nothing_asks_nothing(project, store, recent):
    plan = planned(project, store, recent, budget_usd=Decimal(0))
    assert plan.samples == [] and "enough for 0 of 20" in plan.notes[0]


def test_the_price_is_that_of_the_project(project):
    million = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000)
    assert request_cost(project, million) == Decimal(110)


def test_frozen_answers_are_compared_with_the_candidates(project, store, tmp_path):
    dataset = make_dataset(tmp_path, [sample(n, incumbent=None) for n in range(30)])
    store.put(dataset)
    gone = msgspec.structs.replace(project.config.incumbent, base_url=None)
    alone = type(project)(
        project.root, msgspec.structs.replace(project.config, incumbent=gone), project.settings, None
    )
    with pytest.raises(UsageError, match="no answers of the incumbent are frozen"):
        planned(alone, store, [])
    answers = [FrozenAnswers(sample_id=f"s{n:04}", answers=("yes",)) for n in range(25)]
    write_frozen(frozen_file(project, dataset.id), answers)
    plan = planned(alone, store, [])
    assert (plan.against, plan.estimated_usd, plan.known) == ("frozen", None, ["yes"] * 20)
