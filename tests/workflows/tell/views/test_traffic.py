"""A search from the address of a screen, and the numbers above it."""

from datetime import timedelta

import pytest
from tests.workflows.shift.shifting import ROUTE, START, mirrored
from tests.workflows.shift.shifting import trace as made

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.workflows.tell.views.traffic import (
    MESSAGES_MAX,
    TEXT_MAX,
    OneTraceQuery,
    TrafficQuery,
    trace,
    traffic,
)

AT = START + timedelta(minutes=5)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        store.save_route(ROUTE, who="ada", at=START)
        for number in range(6):
            store.add_traces(mirrored(number, user=None))
        store.add_traces([made(20, status=500, total_ms=4000.0), made(30, api_key="app")])
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


# One trace as a page shows it: bounded whatever it holds, with the other side's answer next to it.


def shown_of_trace(store, id):
    return trace(None, store, OneTraceQuery(id=id), at=START).trace


def test_both_sides_stand_next_to_each_other_whichever_is_asked_for(store):
    own, copy = mirrored(1)
    store.add_traces([own, copy])
    one = shown_of_trace(store, own.id)
    assert [other.trace_id for other in one.others] == [copy.id] and one.others[0].mirrored
    other = shown_of_trace(store, copy.id)
    assert [one.trace_id for one in other.others] == [own.id] and other.answer.mirrored
    assert one.answer.content.text and one.messages[0].role == "user"


def test_an_id_that_no_trace_has_is_none_and_one_that_several_have_is_named(store):
    store.add_traces([made(1, id="abc-1"), made(2, id="abc-2")])
    assert shown_of_trace(store, "") is None and shown_of_trace(store, "zzz") is None
    assert shown_of_trace(store, "abc-1").id == "abc-1"
    with pytest.raises(UsageError, match="several traces"):
        shown_of_trace(store, "abc")


def test_ten_megabytes_become_a_page(store):
    large = "x" * 10_000_000
    request = {"model": "m", "messages": [{"role": "user", "content": large}], "tools": [large]}
    response = {"choices": [{"message": {"role": "assistant", "content": large}}]}
    store.add_traces([made(1, id="large", request=request, response=response)])
    one = shown_of_trace(store, "large")
    assert len(one.messages[0].content.text) == TEXT_MAX and one.messages[0].content.characters == 10_000_000
    assert len(one.answer.content.text) == len(one.parameters.text) == TEXT_MAX


def test_a_long_conversation_keeps_its_first_and_its_newest_messages(store):
    messages = [{"role": "user", "content": str(n)} for n in range(500)]
    store.add_traces([made(1, id="long", request={"model": "m", "messages": messages})])
    one = shown_of_trace(store, "long")
    assert (one.messages[0].content.text, one.messages[-1].content.text) == ("0", "499")
    assert len(one.messages) == MESSAGES_MAX and one.left_out == 500 - MESSAGES_MAX
