"""One trace as a page shows it: bounded whatever it holds, with the other side's answer next to it."""

import pytest
from tests.workflows.shift.shifting import START, mirrored
from tests.workflows.shift.shifting import trace as made

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.workflows.tell.views.trace import (
    COMMENT_MAX,
    MESSAGES_MAX,
    ROLE_MAX,
    TEXT_MAX,
    OneTraceQuery,
    trace,
)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        yield store


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


@pytest.mark.parametrize(
    ("request_body", "response", "texts"),
    [
        ({"input": ["a", "b"]}, {"data": []}, ["a", "b"]),
        ({"prompt": "old"}, {"error": {"message": "no"}}, ["old"]),
        ({"messages": [7, {"role": 3}]}, {"choices": []}, ["", ""]),
        ({}, None, []),
    ],
)
def test_what_is_no_chat_is_shown_as_it_came(store, request_body, response, texts):
    store.add_traces([made(1, id="odd", request=request_body, response=response, status=500)])
    one = shown(store, "odd")
    assert [message.content.text for message in one.messages] == texts
    assert (one.answer.content is None) == (response is None)


def test_what_was_said_of_an_answer_is_shown(store):
    said = {"feedback": {"at": "2026-01-01T00:00:00+00:00", "thumb": "down", "comment": "wrong"}}
    store.add_traces([made(1, id="said", gold="right", metadata=said)])
    one = shown(store, "said")
    assert (one.gold.text, one.feedback.thumb, one.feedback.comment) == ("right", "down", "wrong")


@pytest.mark.parametrize("said", ["good", 7, [], {"thumb": 1, "comment": {"a": "b"}, "at": None, "stars": 5}])
def test_what_another_program_wrote_as_feedback_does_no_harm(store, said):
    store.add_traces([made(1, id="imported", metadata={"feedback": said})])
    feedback = shown(store, "imported").feedback
    assert feedback is None or (feedback.at, feedback.thumb, feedback.comment) == ("", None, None)


def test_a_role_and_a_comment_are_bounded_as_well(store):
    request = {"messages": [{"role": "r" * 1_000_000, "content": "q"}]}
    store.add_traces(
        [made(1, id="odd", request=request, metadata={"feedback": {"comment": "c" * 1_000_000}})]
    )
    one = shown(store, "odd")
    assert len(one.messages[0].role) == ROLE_MAX and len(one.feedback.comment) == COMMENT_MAX
