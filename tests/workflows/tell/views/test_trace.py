"""One trace as a page shows it: bounded whatever it holds, with the other side's answer next to it."""

import pytest
from tests.workflows.shift.shifting import START, mirrored
from tests.workflows.shift.shifting import trace as made

from freehold.errors import UsageError
from freehold.workflows.tell.views.trace import (
    MESSAGES_MAX,
    TEXT_MAX,
    OneTraceQuery,
    trace,
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


def test_ten_megabytes_become_a_page(store):
    large = "x" * 10_000_000
    request = {"model": "m", "messages": [{"role": "user", "content": large}], "tools": [large]}
    response = {"choices": [{"message": {"role": "assistant", "content": large}}]}
    store.add_traces([made(1, id="large", request=request, response=response)])
    one = shown(store, "large")
    assert len(one.messages[0].content.text) == TEXT_MAX and one.messages[0].content.characters == 10_000_000
    assert len(one.answer.content.text) == len(one.parameters.text) == TEXT_MAX


def test_a_long_conversation_keeps_its_first_and_its_newest_messages(store):
    messages = [{"role": "user", "content": str(n)} for n in range(500)]
    store.add_traces([made(1, id="long", request={"model": "m", "messages": messages})])
    one = shown(store, "long")
    assert (one.messages[0].content.text, one.messages[-1].content.text) == ("0", "499")
    assert len(one.messages) == MESSAGES_MAX and one.left_out == 500 - MESSAGES_MAX
