"""Where a project is: from nothing to a candidate that answers, with what it spared."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.workflows.shift.shifting import LATER, START, begun, mirrored, trace

from freehold.gateway.telemetry.meters import Meters, leave_word
from freehold.store import open_store
from freehold.store.search.traffic import AnsweredTokens
from freehold.types.trace import Usage
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.tell.views.overview import OverviewQuery, PathLine, others, overview, savings

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


def test_an_empty_folder_has_a_first_step(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    project = open_project()
    with open_store(project.store_url) as store:
        found = overview(project, store, OverviewQuery(), at=START)
    assert found.journey.stage == "fresh" and "init" in found.journey.next.command
    assert (found.savings, found.verdict, found.routes, found.reports, found.others) == (
        None,
        None,
        (),
        (),
        (),
    )


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


def test_reports_are_listed_newest_first(project, store):
    folder = project.state / "reports"
    folder.mkdir()
    for number in range(12):
        (folder / f"report-{number:02}.html").write_text("")
    assert len(overview(project, store, OverviewQuery(), at=START).reports) == 10


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


def test_no_customer_is_quoted(project, store):
    begun(store)
    store.add_traces(mirrored(1))
    assert b"question" not in msgspec.json.encode(
        overview(project, store, OverviewQuery(), at=START + timedelta(minutes=1))
    )
