"""Endpoints with what running gateways counted of each."""

from datetime import timedelta

import msgspec
import pytest
from tests.workflows.shift.shifting import LATER, ROUTE, START, begun, mirrored

from freehold.gateway.telemetry.meters import Meters, leave_word
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout import rollout as rollouts
from freehold.workflows.tell.views.query import ScreenQuery, WindowQuery
from freehold.workflows.tell.views.serving import rollout, serving

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


# What a page about routes shows, from a real store.

WINDOW = WindowQuery(window_s=3600)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n[incumbent]\nmodel = "gpt-4o"\n')
    return open_project()


@pytest.fixture
def store(project):
    with open_store(project.store_url) as store:
        yield store


def test_a_route_shows_its_traffic_and_how_its_test_went_without_content(project, store):
    begun(store)
    for number in range(20):
        store.add_traces(mirrored(number, wrong=number % 4 == 0))
    rollouts.step(store, "support", at=LATER)
    (view,) = rollout(project, store, WINDOW, at=START + timedelta(minutes=1)).routes
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


def test_a_route_without_a_rollout_has_no_status_and_stands_behind_one_that_moves(project, store):
    other = msgspec.structs.replace(ROUTE, name="a first by name", model="other")
    store.save_route(other, who="ada", at=START)
    begun(store)
    first, second = rollout(project, store, WINDOW, at=LATER).routes
    assert (first.route.name, second.route.name) == ("support", "a first by name")
    assert second.status is None and second.path == ()
