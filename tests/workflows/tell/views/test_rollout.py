"""What a page about routes shows, from a real store."""

from datetime import timedelta

import msgspec
import pytest
from tests.workflows.shift.shifting import LATER, ROUTE, START, begun, mirrored, trace

from freehold.gateway.telemetry.meters import Meters, leave_word
from freehold.store import open_store
from freehold.workflows.project import open_project
from freehold.workflows.tell.views.query import WindowQuery
from freehold.workflows.tell.views.rollout import LATEST_SHOWN, PathLine, arm, others, overview, series

WINDOW = WindowQuery(window_s=60)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n[incumbent]\nmodel = "gpt-4o"\n')
    return open_project()


@pytest.fixture
def store(project):
    with open_store(project.store_url) as store:
        yield store


def test_an_empty_project_has_an_empty_page(project, store):
    found = overview(project, store, WINDOW, at=START)
    assert (found.app, found.incumbent, found.traces) == ("shop", "gpt-4o", 0)
    assert (found.gateway_url, found.verdict, found.routes, found.reports) == (None, None, (), ())


def test_a_route_shows_its_traffic_without_its_content(project, store):
    begun(store)
    for number in range(20):
        store.add_traces(mirrored(number))
    at = START + timedelta(minutes=1)
    (view,) = overview(project, store, WINDOW, at=at).routes
    assert (view.route.name, view.incumbent.requests, view.candidate.requests) == ("support", 20, 0)
    assert view.mirrored.requests == 20 and view.status is not None and not view.shortened
    assert (
        sum(bucket.incumbent for bucket in view.series)
        == sum(bucket.mirrored for bucket in view.series)
        == 20
    )
    assert len(view.latest) == LATEST_SHOWN and view.history[0].who == "ada"
    assert b"question" not in msgspec.json.encode(view)


def test_a_route_without_a_rollout_has_no_status(project, store):
    store.save_route(ROUTE, who="ada", at=START)
    (view,) = overview(project, store, WINDOW, at=LATER).routes
    assert view.status is None and view.incumbent.p50_ms is None


def test_buckets_are_equal_and_the_last_ends_now():
    at = START + timedelta(seconds=40)
    traces = [
        trace(3),
        trace(13, arm="candidate"),
        trace(23, status=500),
        trace(99),
        trace(33, parent_id="x"),
    ]
    found = series(traces, at=at, window_s=40, buckets=4)
    assert [bucket.at for bucket in found] == [START + timedelta(seconds=10 * n) for n in range(4)]
    assert [bucket.incumbent for bucket in found] == [1, 0, 1, 0]
    assert [bucket.candidate for bucket in found] == [0, 1, 0, 0]
    assert [bucket.errors for bucket in found] == [0, 0, 1, 0]
    assert [bucket.mirrored for bucket in found] == [0, 0, 0, 1]


def test_times_are_of_answers_that_came_and_a_fallback_is_an_error():
    traces = [trace(n, total_ms=float(ms)) for n, ms in enumerate((100, 200, 300))]
    found = arm(
        [*traces, trace(9, status=500, total_ms=9999.0), trace(10, fallback="timeout", total_ms=None)]
    )
    assert (found.requests, found.errors, found.fallbacks, found.p50_ms) == (5, 2, 1, 200.0)


def test_reports_are_listed_newest_first(project, store):
    folder = project.state / "reports"
    folder.mkdir()
    for number in range(12):
        (folder / f"report-{number:02}.html").write_text("")
    assert len(overview(project, store, WINDOW, at=START).reports) == 10


def test_what_was_asked_besides_the_routes_stands_by_kind_of_path(tmp_path):
    assert others(tmp_path / "none") == ()
    numbers = Meters()
    numbers.count("freehold_passed_on", "incumbent", "files", "200", by=3)
    numbers.count("freehold_passed_on", "incumbent", "files", "404")
    numbers.count("freehold_refusals", "unknown_url", "images", by=2)
    numbers.count("freehold_refusals", "over_rate", "files")
    numbers.write(tmp_path)
    leave_word(tmp_path / "spool", tmp_path)
    assert others(tmp_path / "spool") == (
        PathLine(path="images", passed_on=0, refused=2),
        PathLine(path="files", passed_on=4, refused=1),
    )
