"""Where a project is, its rollouts, what serves it and how it is set."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.workflows.shift.shifting import LATER, ROUTE, START, begun, mirrored, trace

from freehold.gateway.telemetry.meters import Meters, leave_word
from freehold.store import open_store
from freehold.store.search import AnsweredTokens
from freehold.types.endpoint import ServePlan
from freehold.types.route import ApiKey, Limits
from freehold.types.trace import Usage
from freehold.workflows.project import open_project
from freehold.workflows.shift import keys as changes
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout import rollout as rollouts
from freehold.workflows.tell.views.overview import OverviewQuery, overview, savings
from freehold.workflows.tell.views.project import KeysQuery, SettingsQuery, keys, settings
from freehold.workflows.tell.views.query import ScreenQuery, WindowQuery
from freehold.workflows.tell.views.serving import rollout as rollout_of_rollout
from freehold.workflows.tell.views.serving import serving

PRICED = """
[app]
name = "shop"
[incumbent]
model = "gpt-4o"
base_url = "http://127.0.0.1:1"
price = { prompt = 2, completion = 10 }
[[endpoints]]
name = "dear"
base_url = "http://127.0.0.1:2"
price = { prompt = 1, completion = 1 }
[[endpoints]]
name = "secret"
base_url = "http://127.0.0.1:3"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text(PRICED)
    return open_project()


@pytest.fixture
def store(project):
    with open_store(project.store_url) as store:
        yield store


def test_a_rollout_is_told_with_its_traffic(project, store):
    begun(store)
    for number in range(10):
        store.add_traces(mirrored(number))
    found = overview(project, store, OverviewQuery(), at=START + timedelta(minutes=1))
    assert found.journey.stage == "shadow" and found.traffic.incumbent.requests == 10
    (line,) = found.routes
    assert (line.state, line.share, line.can_go_back) == ("shadow", 0.0, True)
    rollout.rollback(store, "support", who="ada", at=LATER)
    again = overview(project, store, OverviewQuery(), at=LATER)
    assert again.journey.stage == "rolled_back" and not again.routes[0].can_go_back


def test_what_was_spared_leaves_out_what_did_not_spare_anything(project, store):
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=100_000)
    counted = {"arm": "candidate", "endpoint": "local", "usage": usage}
    store.add_traces(
        [
            trace(1, **counted),
            trace(2, **counted | {"fallback": "timeout", "endpoint": "incumbent"}),
            trace(3, **counted, status=500),
            trace(4, **counted, parent_id="x"),
            trace(5, **counted | {"endpoint": "incumbent"}),  # left to the incumbent by a rule
            trace(6, **counted | {"arm": "incumbent", "endpoint": "incumbent"}),
        ]
    )
    found = overview(project, store, OverviewQuery(), at=START + timedelta(minutes=1)).savings
    assert (found.requests, found.usd) == (1, Decimal(3))
    assert found.basis == "prices as stated"


def test_many_short_requests_are_not_priced_as_one_long_one(tmp_path):
    """Above 200,000 prompt tokens of a request this model costs twice as much: $4.50 were shown as $8.25."""
    pytest.importorskip("genai_prices")
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n\n[incumbent]\nmodel = "claude-sonnet-4-5"\n'
    )
    found = savings(
        open_project(tmp_path / "freehold.toml"), [AnsweredTokens("local", 1000, 1_000_300, 100_000)]
    )
    assert found.usd == Decimal("4.5009")


def test_what_another_endpoint_charges_is_taken_off_or_said_to_be_unknown(project):
    dear = savings(project, [AnsweredTokens("dear", 2, 1_000_000, 100_000)])
    assert dear.usd == Decimal(3) - Decimal("1.1")
    unknown = savings(project, [AnsweredTokens("secret", 2, 1_000_000, 0)])
    assert unknown.usd is None and "secret" in unknown.why
    assert savings(project, [AnsweredTokens("incumbent", 9, 9, 9)]) is None


WINDOW = WindowQuery(window_s=3600)


@pytest.fixture
def project_of_rollout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n[incumbent]\nmodel = "gpt-4o"\n')
    return open_project()


@pytest.fixture
def store_of_rollout(project_of_rollout):
    with open_store(project_of_rollout.store_url) as store:
        yield store


def test_a_route_shows_its_traffic_and_how_its_test_went_without_content(
    project_of_rollout, store_of_rollout
):
    begun(store_of_rollout)
    for number in range(20):
        store_of_rollout.add_traces(mirrored(number, wrong=number % 4 == 0))
    rollouts.step(store_of_rollout, "support", at=LATER)
    (view,) = rollout_of_rollout(
        project_of_rollout, store_of_rollout, WINDOW, at=START + timedelta(minutes=1)
    ).routes
    assert (view.route.name, view.traffic.incumbent.requests, view.traffic.mirrored.requests) == (
        "support",
        20,
        20,
    )
    assert view.status is not None and view.path[-1].users == 20
    assert view.path[-1].mean == pytest.approx(-0.25)
    assert view.path[-1].low < -0.25 < view.path[-1].high
    assert view.history[0].who == "ada"
    assert b"question" not in msgspec.json.encode(view)


def test_a_route_without_a_rollout_has_no_status_and_stands_behind_one_that_moves(
    project_of_rollout, store_of_rollout
):
    other = msgspec.structs.replace(ROUTE, name="a first by name", model="other")
    store_of_rollout.save_route(other, who="ada", at=START)
    begun(store_of_rollout)
    first, second = rollout_of_rollout(project_of_rollout, store_of_rollout, WINDOW, at=LATER).routes
    assert (first.route.name, second.route.name) == ("support", "a first by name")
    assert second.status is None and second.path == ()


FILE = """
[app]
name = "shop"
[incumbent]
model = "gpt-4o"
base_url = "http://127.0.0.1:1"
api_key_env = "SHOP_TEST_KEY"
"""


def test_numbers_are_of_the_running_gateway_and_absent_without_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHOP_TEST_KEY", raising=False)
    (tmp_path / "freehold.toml").write_text(FILE)
    project = open_project()
    with open_store(project.store_url) as store:
        store.save_route(ROUTE, who="ada", at=START)
        store.put(ServePlan(engine="echo", model="base"))
        before = serving(project, store, ScreenQuery(), at=START)
        lines = {line.name: line for line in before.endpoints}
        assert before.load is None and before.gateway_url is None
        assert lines["incumbent"].key_missing and lines["incumbent"].answers is None
        assert lines["local"].engine == "echo" and lines["local"].routes == ("support",)
        assert before.engine is not None and before.engine.model == "base"
        numbers = Meters()
        numbers.count_answer("support", "incumbent", "incumbent", 200, 0.1, 0.2)
        numbers.count_answer("support", "incumbent", "incumbent", 502, None, 0.2)
        numbers.count("freehold_upstream_failures", "incumbent", "connect", by=3)
        numbers.count("freehold_restarts", "worker", "ended")
        numbers.in_flight = 2
        run = project.state / "run"
        run.mkdir()
        numbers.write(run)
        leave_word(project.state / "spool", run)
        after = serving(project, store, ScreenQuery(), at=START)
        line = next(line for line in after.endpoints if line.name == "incumbent")
        assert (line.answers, line.errors, line.failures) == (2, 1, {"connect": 3})
        assert after.load is not None
        assert (after.load.in_flight, after.load.restarts) == (2, {"worker: ended": 1})


FILE_of_settings = """
[app]
name = "shop"
[incumbent]
model = "gpt-4o"
[capture]
mode = "patterns"
[serve]
port = 9000
[[endpoints]]
name = "a"
base_url = "http://u:hunter2@a.example/v1"
[[endpoints]]
name = "b"
base_url = "http://b.example/v1"
"""


@pytest.fixture
def shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_PORT", "8499")
    (tmp_path / "freehold.toml").write_text(FILE_of_settings)
    project = open_project()
    with open_store(project.store_url) as store:

        def look(**query):
            return settings(project, store, SettingsQuery(**query), at=START)

        yield look


def test_values_of_the_file_stand_first_and_say_whether_they_wait_for_a_start(shown):
    found = shown()
    lines = {line.name: line for line in found.project if line.source == "file"}
    assert found.project[0].source == "file" and found.unread is None
    assert (lines["[capture] mode"].value, lines["[capture] mode"].restart) == ("patterns", False)
    assert (lines["[serve] port"].value, lines["[serve] port"].restart) == ("9000", True)
    assert [line.value for line in found.project if line.name == "[endpoints] name"] == ["a", "b"]
    hosts = next(line for line in found.project if line.name == "[serve] hosts")
    assert (hosts.source, hosts.restart) == ("default", False)
    machine = {line.name: line for line in found.machine}
    assert (machine["FREEHOLD_PORT"].value, machine["FREEHOLD_PORT"].source) == ("8499", "environment")
    assert machine["FREEHOLD_HOST"].source == "default"


def test_a_password_is_not_shown(shown):
    assert "hunter2" not in str(shown())
    assert any("***@a.example" in (line.value or "") for line in shown().project)


def test_those_that_ended_are_counted_and_shown_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = open_project()
    with open_store(project.store_url) as store:
        assert keys(project, store, KeysQuery(), at=START).required is False
        made = changes.add(store, "app", limits=Limits(usd_per_day=5), who="ada", at=START)
        old = changes.KeyScope(role="read", expires_at=START)
        changes.add(store, "old", limits=Limits(), scope=old, who="ada", at=START - timedelta(days=1))
        changes.add(store, "gone", limits=Limits(), who="ada", at=START)
        changes.revoke(store, "gone", at=START)
        shown = keys(project, store, KeysQuery(), at=START)
        assert [line.name for line in shown.keys] == ["app"] and shown.ended == 2 and shown.required
        every = keys(project, store, KeysQuery(ended=True), at=START)
        assert {line.name for line in every.keys} == {"app", "old", "gone"}
        written = msgspec.json.encode(every).decode()
        assert made.secret not in written
        assert not any(key.hash in written for key in store.records(ApiKey))
