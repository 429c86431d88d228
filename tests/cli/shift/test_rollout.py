"""What moves traffic is in tests/workflows/shift/rollout."""

from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace
from tests.workflows.watch.test_mixture import RULE

from freehold.store import open_store
from freehold.types.rollout import RouteAlarm
from freehold.workflows.project import open_project


@pytest.fixture
def begun(freehold, project):
    ran = freehold("rollout", "start", "--candidate", "base:app", "--json")
    assert ran.code == 0, ran.err
    return ran.json


def test_it_begins_with_mirroring_and_is_not_ready_yet(freehold, begun):
    assert (begun["route"], begun["state"]) == ("support", "shadow")
    ran = freehold("rollout", "status", "--json")
    assert ran.code == 3
    assert ran.json["rollout"]["id"] == begun["id"] and ran.json["missing"]
    shown = freehold("rollout", "status").out
    assert shown.startswith("route support: shadow\ntest ") and "\nnot yet: " in shown


def test_the_rule_of_a_mixture_is_shown(freehold, begun, project, monkeypatch):
    with open_store(open_project(project / "freehold.toml").store_url) as store:
        (route,) = store.routes()
        ruled = msgspec.structs.replace(route, deferral=RULE)
        store.save_route(ruled, who="test", at=datetime.now(UTC))
    shown = freehold("rollout", "status").out
    assert "mixture: base:ft answers where its probability says at least 0.9" in shown
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, freehold("rollout", "status").out.splitlines())) <= 80
    assert freehold("rollout", "status", "--json").json["rule"]["id"] == RULE.id


def test_a_trouble_that_is_not_over_is_shown(freehold, begun, tmp_path):
    alarm = RouteAlarm(
        route="support", trouble="failures", arm="candidate", gateway="gate-1",
        since=datetime(2026, 11, 27, 2, 5, tzinfo=UTC), requests=20, failed=20, why="the candidate did not answer",
    )  # fmt: skip
    with open_store(open_project(None).store_url) as store:
        store.put(alarm)
        shown = freehold("rollout", "status").out
        assert "TROUBLE since 2026-11-27 02:05 UTC on gate-1: the candidate did not answer" in shown
        store.put(replace(alarm, over_at=alarm.since))
    assert "TROUBLE" not in freehold("rollout", "status").out


def test_pausing_and_going_back_are_told(freehold, begun):
    assert freehold("rollout", "pause", "--why", "lunch").out.startswith("route support: paused")
    assert (
        freehold("rollout", "rollback", "--why", "complaints").out
        == "route support: rolled back (complaints)\n"
    )
    assert freehold("rollout", "status").code == 1


def test_mistakes(refused, project):
    refused("rollout", "status", message="the route support has no rollout", hint="freehold rollout start")
    refused("rollout", "start", message="candidate", hint="--candidate")
    refused("rollout", "rollback", "--route", "other", message="other")


def test_a_step_forward_is_refused_with_what_is_missing(refused, begun):
    refused("rollout", "advance", "--without", "hours", "--route", "other", message="other")
    refused("rollout", "promote", message="not yet: ", hint="freehold rollout status")
