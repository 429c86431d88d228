"""Checks of a promoted route, with a real incumbent on loopback and real hooks."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from click.testing import CliRunner
from tests.workflows.shift.shifting import trace
from tests.workflows.watch.watching import NOW, week

from freehold.agents.mcp.calling import AgentLimits, AgentServer
from freehold.agents.mcp.tools import TOOLS
from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.progress import Silent
from freehold.types.trace import Usage
from freehold.workflows import project as project_module
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.watch import watch
from freehold.workflows.watch.drift import SUMMARIES, baseline, drifts


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


def test_on_alarm_shadow_lets_the_incumbent_answer(project, store, monkeypatch):
    monkeypatch.setattr(watch, "REQUESTS", 40)
    config = msgspec.structs.replace(project.config.watch, on_alarm="shadow")
    for number in range(1, 4):
        made = watch.check(project, store, "support", at=week(store, number, answer="x"), config=config)
        if made.alarm:
            break
    assert made.action == "shadow" and store.routes()[0].state == "shadow"


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
    assert run("--once", "--budget", "much").exit_code == 2
    rollout.rollback_route(store, "support", who="ada", at=at)
    assert isinstance(run("--once").exception, UsageError)
    assert isinstance(run("--once", "--route", "nix").exception, UsageError)


def test_an_agents_budget_pays_for_each_request_once(project, store, incumbent, tmp_path, monkeypatch):
    at = week(store, 1)
    monkeypatch.setattr(project_module, "now", lambda: at)
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
