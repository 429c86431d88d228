"""Traces, one by one and counted, and records by their ids."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.workflows.shift.shifting import ROUTE, START, begun, mirrored
from tests.workflows.shift.shifting import trace as made
from tests.workflows.shift.shifting import trace as trace_of_record
from tests.workflows.shift.shifting import trace as trace_of_traffic

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.rollout import Rollout
from freehold.types.route import Limits
from freehold.workflows.shift import keys
from freehold.workflows.tell.views.project import RecordQuery, record
from freehold.workflows.tell.views.traffic import (
    MESSAGES_MAX,
    TEXT_MAX,
    OneTraceQuery,
    TrafficQuery,
    trace,
    traffic,
)


def shown(store, id):
    return trace(None, store, OneTraceQuery(id=id), at=START).trace


def test_both_sides_stand_next_to_each_other_whichever_is_asked_for(store):
    own, copy = mirrored(1)
    store.add_traces([own, copy])
    one = shown(store, own.id)
    assert [other.trace_id for other in one.others] == [copy.id] and one.others[0].mirrored
    other = shown(store, copy.id)
    assert [one.trace_id for one in other.others] == [own.id] and other.answer.mirrored
    assert one.answer.content.text and one.messages[0].role == "user"


def test_an_id_that_no_trace_has_is_none_and_one_that_several_have_is_named(store):
    store.add_traces([made(1, id="abc-1"), made(2, id="abc-2")])
    assert shown(store, "") is None and shown(store, "zzz") is None
    assert shown(store, "abc-1").id == "abc-1"
    with pytest.raises(UsageError, match="several traces"):
        shown(store, "abc")


def test_ten_megabytes_become_a_page_and_a_long_conversation_keeps_both_its_ends(store):
    large = "x" * 10_000_000
    request = {"model": "m", "messages": [{"role": "user", "content": large}], "tools": [large]}
    response = {"choices": [{"message": {"role": "assistant", "content": large}}]}
    store.add_traces([made(1, id="large", request=request, response=response)])
    one = shown(store, "large")
    assert len(one.messages[0].content.text) == TEXT_MAX and one.messages[0].content.characters == 10_000_000
    assert len(one.answer.content.text) == len(one.parameters.text) == TEXT_MAX
    messages = [{"role": "user", "content": str(n)} for n in range(500)]
    store.add_traces([made(1, id="long", request={"model": "m", "messages": messages})])
    one = shown(store, "long")
    assert (one.messages[0].content.text, one.messages[-1].content.text) == ("0", "499")
    assert len(one.messages) == MESSAGES_MAX and one.left_out == 500 - MESSAGES_MAX


AT = START + timedelta(minutes=5)


@pytest.fixture
def store_of_traffic(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        store.save_route(ROUTE, who="ada", at=START)
        for number in range(6):
            store.add_traces(mirrored(number, user=None))
        store.add_traces(
            [trace_of_traffic(20, status=500, total_ms=4000.0), trace_of_traffic(30, api_key="app")]
        )
        yield store


def shown_of_traffic(store, **query):
    return traffic(None, store, TrafficQuery(**query), at=AT)


def test_it_counts_and_lists_the_window(store_of_traffic):
    found = shown_of_traffic(store_of_traffic)
    assert found.traffic.incumbent.requests == 8 and found.traffic.mirrored.requests == 6
    assert found.traffic.incumbent.errors == 1 and len(found.page.traces) == 14
    assert (found.routes, found.models, found.has_traces) == (("support",), ("gpt-4o",), True)
    assert (
        shown_of_traffic(store_of_traffic, window_s=60).page.traces == ()
        and len(shown_of_traffic(store_of_traffic, window_s=0).page.traces) == 14
    )


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
def test_each_parameter_narrows(store_of_traffic, query, many):
    assert len(shown_of_traffic(store_of_traffic, **query).page.traces) == many


def test_pages_go_on_where_the_one_before_ended(store_of_traffic):
    first = shown_of_traffic(store_of_traffic, most=5)
    second = shown_of_traffic(store_of_traffic, most=5, after=first.page.next)
    ids = [one.id for one in (*first.page.traces, *second.page.traces)]
    assert len(ids) == len(set(ids)) == 10


AT_of_record = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_record_is_found_by_its_id_whatever_its_kind(store):
    begun(store)
    (rollout,) = store.records(Rollout)
    found = record(None, store, RecordQuery(id=rollout.key), at=AT_of_record)
    (one,) = found.records
    assert one.kind == Rollout.kind and json.loads(bytes(one.body))["route"] == "support"
    assert json.loads(msgspec.json.encode(found))["records"][0]["body"]["state"] == "shadow"


def test_an_unknown_id_and_a_key_of_the_gateway_have_no_record(store):
    one = trace_of_record(1)
    store.add_traces([one])
    assert record(None, store, RecordQuery(id=one.id), at=AT_of_record).is_trace
    nothing = record(None, store, RecordQuery(id="gone"), at=AT_of_record)
    assert nothing.records == () and not nothing.is_trace
    assert record(None, store, RecordQuery(), at=AT_of_record).records == ()
    keys.add(store, "app", limits=Limits(), scope=keys.KeyScope(role="use"), who="ada", at=AT_of_record)
    assert record(None, store, RecordQuery(id="app"), at=AT_of_record).records == ()
