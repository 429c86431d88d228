"""Checks of a promoted route, with a real incumbent on loopback and real hooks."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from click.testing import CliRunner
from tests.signing.vendors import Azure
from tests.workflows.prove.held_out import make_dataset
from tests.workflows.prove.test_evaluate import sample
from tests.workflows.shift.shifting import ROUTE, trace
from tests.workflows.watch.watching import NOW, PROMOTED, week

from freehold.agents.mcp.calling import AgentLimits, AgentServer
from freehold.agents.mcp.tools import TOOLS
from freehold.api import traffic as traffic_api
from freehold.cli.main import cli
from freehold.errors import ConfigError, UsageError
from freehold.evals.frozen import FrozenAnswers, write_frozen
from freehold.progress import Silent
from freehold.types.dataset import RecordedAsking
from freehold.types.deferral import DeferralDecision
from freehold.types.evaluation import Task
from freehold.types.trace import Usage
from freehold.workflows.project import open_project
from freehold.workflows.prove.results import frozen_file
from freehold.workflows.prove.task import task_of
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.watch import watch
from freehold.workflows.watch.asking import CheckPlan, PeriodScores, ask, may_leave, plan_check, request_cost
from freehold.workflows.watch.drift import SUMMARIES, baseline, drifts

DECIDED = DeferralDecision(rule_id="r", by="candidate", why="sure")


@pytest.mark.parametrize(
    ("conditions", "changes", "leaves"),
    [
        ((), {}, True),
        (({"team": "legal"},), {"metadata": {"team": "sales"}}, True),
        (({"team": "legal"},), {"metadata": {"team": "legal"}}, False),
        (({"vip": "true"},), {"metadata": {"vip": True}}, False),
        (({"key": "clinic"},), {"api_key": "clinic"}, False),
        (({"header:x-tenant": "a"},), {}, False),
        (({"header:x-tenant": "a"},), {"deferral": DECIDED}, True),
        (({"header:x-tenant": "a", "team": "legal"},), {"metadata": {"team": "sales"}}, True),
        ((), {"deferral": DeferralDecision(rule_id="r", by="candidate", why="stays_here")}, False),
    ],
)
def test_what_may_not_leave_is_not_asked_again(conditions, changes, leaves, project, store, incumbent):
    defer = msgspec.structs.replace(project.config.defer, never_defer_out=conditions)
    kept = type(project)(
        project.root, msgspec.structs.replace(project.config, defer=defer), project.settings, None
    )
    assert may_leave(kept, trace(1, arm="candidate", **changes)) == leaves
    at = week(store, 1, n=10, **changes)
    made = watch.check(kept, store, "support", at=at)
    assert bool(incumbent.seen) == bool(made.pairs) == leaves


def test_a_good_candidate_passes_and_the_price_is_said_first(project, store, incumbent):
    plans = []
    made = watch.check(project, store, "support", at=week(store, 1), planned=plans.append)
    assert len(plans[0].samples) == 20 and plans[0].estimated_usd == Decimal("0.06")
    assert (made.pairs, made.difference, made.against) == (20, 0.0, "live")
    assert made.spent_usd == Decimal("0.04") and made.e_value < 1 and made.exit_code == 0
    assert len(incumbent.seen) == 20 and incumbent.seen[0]["model"] == "gpt-4o"
    assert made.smallest_drop is not None and incumbent.told == []
    assert watch.next_due(store, "support", project.config.watch, at=NOW) == NOW + timedelta(hours=168)


def test_the_budget_bounds_what_is_asked(project, store, incumbent):
    config = msgspec.structs.replace(project.config.watch, budget_usd=Decimal("0.01"))
    made = watch.check(project, store, "support", at=week(store, 1), config=config)
    assert made.planned == len(incumbent.seen) == 3 and made.estimated_usd <= Decimal("0.01")
    assert made.exit_code == 3 and "enough for 3 of 20" in made.notes[0]


def test_a_candidate_that_got_worse_alarms_and_traffic_goes_back(project, store, incumbent):
    config = msgspec.structs.replace(project.config.watch, on_alarm="rollback")
    for number in range(1, 5):
        made = watch.check(project, store, "support", at=week(store, number, answer="other"), config=config)
        if made.alarm:
            break
    assert made.alarm and made.exit_code == 1 and made.action == "rolled_back" and made.difference == -1.0
    assert store.routes()[0].state == "rolled_back"
    (told,) = [one for one in incumbent.told if one["kind"] == "quality"]
    assert (
        told["route"] == "support" and told["action"] == "rolled_back" and "question" not in json.dumps(told)
    )
    with pytest.raises(UsageError, match="only a promoted one is watched"):
        watch.check(project, store, "support", at=NOW)
    assert [one.alarm for one in watch.history(store, "support")][-1] is True


def test_drift_is_told_and_moves_nothing(project, store, incumbent):
    tools = {"messages": [{"role": "user", "content": "question"}], "tools": [{"type": "function"}]}
    for number in range(1, 6):
        made = watch.check(project, store, "support", at=week(store, number, request=tools))
        if made.exit_code:
            break
    (drift,) = [one for one in made.drift if one.alarm]
    assert (drift.name, drift.share, drift.baseline) == ("tools", 1.0, 0.0) and not made.alarm
    assert store.routes()[0].state == "promoted"
    assert [one["kind"] for one in incumbent.told] == ["drift"] and "tools 0.0% → 100.0%" in incumbent.told[
        0
    ]["why"]


def test_without_a_price_no_budget_can_be_kept(project, store, incumbent):
    bare = msgspec.structs.replace(project.config.incumbent, price=None, model="mystery")
    poor = type(project)(
        project.root, msgspec.structs.replace(project.config, incumbent=bare), project.settings, None
    )
    with pytest.raises(UsageError, match="no price of mystery is known"):
        watch.check(poor, store, "support", at=week(store, 1))
    assert incumbent.seen == []


def test_the_command(project, store, incumbent):
    run = lambda *words: CliRunner().invoke(cli, ["watch", *words])  # noqa: E731
    at = datetime.now(UTC)
    store.add_traces(
        trace(
            n,
            arm="candidate",
            share=1.0,
            at=at - timedelta(minutes=n + 1),
            usage=Usage(prompt_tokens=100, completion_tokens=10),
        )
        for n in range(30)
    )
    made = run("--once")
    assert made.exit_code == 0 and "20 pairs against the incumbent (live): difference +0.000" in made.stdout
    assert "asking the incumbent 20 requests: about 0.0600 USD at most, budget 1 USD" in made.stderr
    assert "at promotion" in made.stdout and "within 8 periods" in made.stdout
    again = run("--once", "--json")
    assert again.exit_code == 3 and json.loads(again.stdout)["pairs"] == 0
    assert (
        "live" in run("--history").stdout and len(json.loads(run("--history", "--json").stdout)["items"]) == 2
    )
    assert isinstance(run("--once", "--set", "watch.budget_usd=much").exception, ConfigError)
    rollout.rollback_route(store, "support", who="ada", at=at)
    assert isinstance(run("--once").exception, UsageError)
    assert isinstance(run("--once", "--route", "nix").exception, UsageError)


def test_an_agents_budget_pays_for_each_request_once(project, store, incumbent, tmp_path, monkeypatch):
    at = week(store, 1)
    monkeypatch.setattr(traffic_api, "now", lambda: at)
    agent = AgentServer(tmp_path, TOOLS, AgentLimits(budget_usd=Decimal("0.5")))
    made = agent.run(agent.understand("watch_promoted", {"budget_usd": 0.5}), Silent())
    assert made["pairs"] == len(incumbent.seen) == 20
    assert agent.budget.usd == Decimal("0.5") - Decimal(made["spent_usd"]) == Decimal("0.46")
    assert incumbent.seen[0]["max_tokens"] == 1024, "without a limit its cost has no bound"


def test_equal_periods_do_not_drift_and_a_moved_share_does():
    then = baseline([trace(n) for n in range(100)], [trace(n) for n in range(100)])
    assert set(then.shares) == {one.name for one in SUMMARIES}
    assert baseline([trace(1)], [trace(1)]) is None
    found, detectors = drifts([trace(n) for n in range(100)], then, {})
    assert not any(one.alarm for one in found) and all(one.e_value <= 1.5 for one in found)
    found, _ = drifts([trace(n, answer="") for n in range(100)], then, detectors)
    assert {one.name for one in found if one.e_value > 100} == {"empty answer"}


LIVE = CheckPlan("live", [sample(n, gold=None) for n in range(4)], ["refund"] * 4, Decimal(1), ())


@pytest.fixture
def scores(project, incumbent):
    def run(plan, **changes):
        return asyncio.run(ask(project, ROUTE, plan, task_of(project), progress=Silent(), **changes))

    return run


def test_nothing_planned_asks_nothing_and_live_the_incumbent_is_asked_and_paid(scores, incumbent):
    assert scores(LIVE._replace(samples=[], known=[])) == PeriodScores([], 0, None)
    assert incumbent.seen == []
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


def test_requests_are_chosen_by_the_seed_and_failed_ones_are_not_asked_again(project, store, recent):
    plan = planned(project, store, recent)
    assert plan == planned(project, store, list(reversed(recent)))
    assert plan.samples != planned(project, store, recent, seed="b").samples
    assert (plan.against, len(plan.samples), plan.known) == ("live", 20, ["refund"] * 20)
    assert plan.notes == () and plan.estimated_usd == Decimal("0.06")
    cut = [msgspec.structs.replace(trace, completeness="cut") for trace in recent[:30]]
    plan = planned(project, store, [*cut, *recent[30:]])
    assert len(plan.samples) == len(recent) - 30
    assert f"{len(plan.samples)} users asked in this period, 20 were wanted" in plan.notes
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
