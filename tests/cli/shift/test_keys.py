"""Keys and rollouts by command. What a key may use is in tests/workflows/shift/test_keys.py."""

from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace
from tests.workflows.watch.test_mixture import RULE

from freehold.store import open_store
from freehold.types.rollout import RouteAlarm
from freehold.workflows.project import open_project


def test_a_key_is_shown_once(freehold, project):
    made = freehold("keys", "add", "app", "--limit", "concurrency=2", "--json").json
    assert made["limits"]["concurrency"] == 2
    (line,) = freehold("keys", "list", "--json").items
    assert line["name"] == "app" and "secret" not in line
    shown = freehold("keys", "list").out
    assert made["secret"] not in shown and "concurrency 2" in shown
    kept = b"".join(file.read_bytes() for file in (project / ".freehold").glob("freehold.sqlite*"))
    assert kept and made["secret"].encode() not in kept


def test_people_are_told_that_the_first_key_shuts_the_gateway(freehold, project):
    first = freehold("keys", "add", "app")
    assert first.out.startswith("fh-")
    assert "only its hash is stored" in first.err and "asks everybody for a key" in first.err
    assert "asks everybody" not in freehold("keys", "add", "other").err
    assert freehold("keys", "revoke", "app", "--json").fields == {"revoked": 1, "left": 1, "open": False}
    assert freehold("keys", "revoke", "other").err.startswith("revoked other; no key is left")
    told = freehold("keys", "revoke", "--forget-all", "--json").fields
    assert told == {"revoked": 2, "left": 0, "open": True}


def test_limits_are_changed_and_taken_away(freehold, project):
    freehold("keys", "add", "app", "--limit", "concurrency=2")
    assert freehold("keys", "limit", "app", "usd_per_day=5", "--json").json["usd_per_day"] == "5"
    assert freehold("keys", "limit", "app", "usd_per_day=", "concurrency=").out == "app: no limits\n"


def test_keys_of_a_label_share_its_limits(freehold, project):
    freehold("keys", "add", "app", "--label", "search")
    assert "label search," in freehold("keys", "list").out
    assert freehold("keys", "limit", "--label", "search", "usd_per_day=5").out == "search: usd_per_day 5\n"
    freehold("keys", "limit", "--label", "search", "concurrency=2")
    assert "label search (concurrency 2, usd_per_day 5)" in freehold("keys", "list").out
    assert (
        freehold("keys", "limit", "--label", "search", "usd_per_day=", "concurrency=").out
        == "search: no limits\n"
    )


def test_mistakes(refused, freehold, project):
    freehold("keys", "add", "app")
    refused("keys", "add", "app", message="app")
    refused("keys", "limit", "app", "concurrency=x", message="limit concurrency is 'x': expected a number")
    refused(
        "keys", "limit", "gone", "concurrency=1", message="no key named gone is in force", hint="keys: app"
    )
    refused("keys", "revoke", "gone", message="no key named gone is in force", hint="keys: app")
    assert "name a key, or say --forget-all" in freehold("keys", "revoke").err


def test_a_store_that_is_lost_is_refused_until_it_is_accepted(refused, freehold, project):
    freehold("keys", "add", "app")
    kept = project / ".freehold" / "keys.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    for file in (project / ".freehold").glob("freehold.sqlite*"):
        file.unlink()
    for command in (("keys", "list"), ("keys", "add", "other"), ("up", "--model", "m")):
        refused(*command, message="is gone, and it held the keys", hint="freehold keys accept")
    assert not list((project / ".freehold").glob("freehold.sqlite*")), "no empty one is made in its place"
    accepted = freehold("keys", "accept", "--yes")
    assert accepted.code == 0 and "accepted another store: 0 keys in force" in accepted.err
    assert "refuses every request" in freehold("keys", "list").err
    freehold("keys", "add", "app")
    assert freehold("keys", "list").code == 0
    assert freehold("keys", "revoke", "--forget-all").code == 0 and not kept.exists()
    refused("keys", "accept", "--yes", message="no key is required here")


def test_roles_scopes_and_ends_are_set_and_shown(freehold, refused, project):
    freehold("routes", "set", "r", "--model", "m", "--incumbent", "local")
    words = ("--model", "m", "--route", "r", "--expires", "90d", "--role", "operate")
    made = freehold("keys", "add", "ops", *words, "--json").json
    assert (made["role"], made["models"], made["routes"]) == ("operate", ["m"], ["r"])
    (line,) = freehold("keys", "list", "--json").items
    assert line["expires_at"] and not line["expired"] and line["role"] == "operate"
    shown = freehold("keys", "list").out
    assert "operate" in shown and "only the model m, only the route r" in shown and "until 2" in shown
    refused("keys", "add", "a", "--expires", "soon", message="'soon' says no time", hint="90d")
    refused("keys", "add", "a", "--expires", "2020-01-01", message="expired at 2020-01-01")


def test_a_reason_goes_into_the_audit_record_and_no_further(freehold, refused, project):
    freehold("keys", "add", "app", "--why", "for the shop")
    freehold("keys", "limit", "app", "concurrency=2", "--why", "it grew")
    freehold("keys", "add", "other")
    freehold("keys", "revoke", "app", "--why", "found in a log")
    reasons = [(one["action"], one["why"]) for one in freehold("audit", "--json").items]
    assert reasons == [
        ("key.add", "for the shop"),
        ("key.limit", "it grew"),
        ("key.add", ""),
        ("key.revoke", "found in a log"),
    ]
    assert "at most 500" in freehold("keys", "add", "long", "--why", "x" * 501).err


@pytest.mark.parametrize("name", ["", " ", "a:b", "a/b", "..", "a\x1b[2J", "a\u202eb", "x" * 201])
def test_a_name_that_paths_logs_and_terminals_could_misread_is_refused(refused, project, name):
    refused("keys", "add", "--", name, message="is not a name for a key", hint="app-eu")


def test_a_scope_that_no_request_could_meet_is_refused(refused, freehold, project):
    freehold("routes", "set", "support", "--model", "gpt-4o-mini", "--incumbent", "local")
    refused(
        "keys", "add", "a", "--route", "suport", message="no route 'suport'", hint="did you mean support?"
    )
    refused("keys", "add", "a", "--route", "mail", message="no route 'mail'", hint="routes here: support")
    refused(
        "keys", "add", "a", "--model", "gpt-4o-mni", message="the model 'gpt-4o-mni'", hint="gpt-4o-mini? For"
    )
    assert freehold("keys", "list", "--json").items == [], "a refused one was not made"
    own = freehold("keys", "add", "b", "--route", "support", "--model", "google/gemma-3-270m:app")
    assert own.code == 0 and "note" not in own.err, "a model this project may serve itself"
    assert (
        "no route or endpoint here answers for the model its-own yet"
        in freehold("keys", "add", "c", "--model", "its-own").err
    )
    freehold("routes", "set", "rest", "--model", "*", "--incumbent", "local")
    assert "note" not in freehold("keys", "add", "d", "--model", "gpt-4o-mni").err, "a route takes any model"


@pytest.mark.parametrize(
    "command",
    [
        *(("rollout", step, "--route") for step in ("status", "advance", "promote", "pause", "rollback")),
        ("watch", "--route"),
        ("watch", "--history", "--route"),
        ("traces", "list", "--route"),
        ("traces", "export", "x.jsonl", "--route"),
        ("routes", "remove"),
    ],
)
def test_every_command_that_takes_a_route_names_the_one_that_was_meant(refused, freehold, project, command):
    freehold("routes", "set", "support", "--model", "m", "--incumbent", "local")
    refused(*command, "suport", message="suport", hint="did you mean support?")
    assert not (project / "x.jsonl").exists()


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
    assert "fallback: base:ft answers where its probability says at least 0.9" in shown
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


def test_a_step_forward_is_refused_with_what_is_missing(refused, begun):
    refused("rollout", "advance", "--without", "hours", "--route", "other", message="other")
    refused("rollout", "promote", message="not yet: ", hint="freehold rollout status")
