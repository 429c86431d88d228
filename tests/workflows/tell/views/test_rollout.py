"""What a page about routes shows, from a real store."""

from datetime import timedelta

import msgspec
import pytest
from tests.workflows.shift.shifting import LATER, ROUTE, START, begun, mirrored

from freehold.store import open_store
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout import rollout as rollouts
from freehold.workflows.tell.views.query import WindowQuery
from freehold.workflows.tell.views.rollout import rollout

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
