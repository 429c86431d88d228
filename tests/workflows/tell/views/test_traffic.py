"""A search from the address of a screen, and the numbers above it."""

from datetime import timedelta

import pytest
from tests.workflows.shift.shifting import ROUTE, START, mirrored, trace

from freehold.store import open_store
from freehold.workflows.tell.views.traffic import TrafficQuery, traffic

AT = START + timedelta(minutes=5)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        store.save_route(ROUTE, who="ada", at=START)
        for number in range(6):
            store.add_traces(mirrored(number, user=None))
        store.add_traces([trace(20, status=500, total_ms=4000.0), trace(30, api_key="app")])
        yield store


def shown(store, **query):
    return traffic(None, store, TrafficQuery(**query), at=AT)


def test_it_counts_and_lists_the_window(store):
    found = shown(store)
    assert found.traffic.incumbent.requests == 8 and found.traffic.mirrored.requests == 6
    assert found.traffic.incumbent.errors == 1 and len(found.page.traces) == 14
    assert (found.routes, found.models, found.has_traces) == (("support",), ("gpt-4o",), True)
    assert shown(store, window_s=60).page.traces == () and len(shown(store, window_s=0).page.traces) == 14


@pytest.mark.parametrize(
    ("query", "many"),
    [
        ({"status": "error"}, 1),
        ({"own": True}, 8),
        ({"arm": "candidate"}, 6),
        ({"slower_than_ms": 3000}, 1),
        ({"api_key": "app"}, 1),
        ({"text": '"question 3"'}, 2),
        ({"route": "support", "model": "gpt-4o"}, 14),
        ({"route": "other"}, 0),
    ],
)
def test_each_parameter_narrows(store, query, many):
    assert len(shown(store, **query).page.traces) == many


def test_pages_go_on_where_the_one_before_ended(store):
    first = shown(store, most=5)
    second = shown(store, most=5, after=first.page.next)
    ids = [one.id for one in (*first.page.traces, *second.page.traces)]
    assert len(ids) == len(set(ids)) == 10
