"""What a rule of deferral reads of requests and answers."""

import json

import pytest
from tests.gateway.proxy.mixtures import own, rule_for, told

from freehold.deferring.request_text import request_text
from freehold.gateway.proxy.deferrable import (
    Deferrable,
    ReadAnswer,
    ReadRequest,
    logprob_fields,
    meets,
    read_answer,
    read_request,
)
from freehold.types.endpoint import Endpoint

ONE = own("candidate", "http://127.0.0.1:1")
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Wo ist mein Paket?"}]}


def read(body, kind="chat", way="cascade"):
    found, (text,) = read_request(ReadRequest(kind, way), json.dumps(body).encode())
    return found, text


@pytest.mark.parametrize(
    ("more", "decidable"),
    [
        ({}, True),
        ({"n": 1}, True),
        ({"n": 2}, False),
        ({"n": "2"}, False),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}, {"name": "f"}]},
            True,
        ),
        ({"tools": [{"type": "web_search"}]}, False),
        ({"tools": [{"type": ["function"]}]}, False),
        ({"tools": "none"}, True),
        ({"background": True}, False),
    ],
)
def test_what_can_be_decided(more, decidable):
    assert read({**CHAT, **more})[0].decidable is decidable


def test_a_router_may_decide_on_tools_that_run_elsewhere_because_one_model_alone_is_asked():
    assert read({**CHAT, "tools": [{"type": "web_search"}]}, way="router")[0].decidable


@pytest.mark.parametrize("kind", ["completions", "embeddings", "count_tokens"])
def test_no_rule_was_proven_for_other_kinds(kind):
    assert not read(CHAT, kind)[0].decidable


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("chat", CHAT),
        ("messages", {"model": "m", "max_tokens": 9, "messages": CHAT["messages"]}),
        ("responses", {"model": "m", "input": "Wo ist mein Paket?"}),
    ],
)
def test_a_router_reads_the_same_text_whichever_api_is_spoken(kind, body):
    found, text = read(body, kind, "router")
    assert found.decidable and text.decode() == request_text(CHAT) == "Wo ist mein Paket?"
    assert read(body, kind)[1] == b"", "a cascade reads the answer"


def test_a_conversation_that_is_kept_elsewhere_is_not_decidable():
    assert not read({"model": "m", "input": "x", "previous_response_id": "r1"}, "responses", "router")[
        0
    ].decidable


@pytest.mark.parametrize("body", [b"{half", b"[1]", b'{"messages": 3}', b'{"messages": [3]}', b"\xff"])
@pytest.mark.parametrize("way", ["router", "cascade"])
def test_what_cannot_be_read_raises_nothing(body, way):
    read_request(ReadRequest("chat", way), body)


def test_conditions_hold_in_all_their_parts():
    rule = rule_for(ONE, always_incumbent=({"team": "legal", "key": "web"}, {"header:X-Tier": "gold"}, {}))
    headers = {"x-tier": "gold"}
    legal = Deferrable(True, {"team": "legal"})
    assert meets(rule.always_incumbent, legal, {}.get, "web")
    assert not meets(rule.always_incumbent, legal, {}.get, "other")
    assert not meets(rule.always_incumbent, Deferrable(True), {}.get, "web")
    assert meets(rule.always_incumbent, Deferrable(True), headers.get, None)


def answered(body, *, signal="mean_logprob", stream=False, keeps=False, endpoint=ONE, kind="chat"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    found, (shown,) = read_answer(ReadAnswer(kind, endpoint, stream, signal, keeps), data)
    return found, shown


def test_log_probabilities_are_read_and_taken_out():
    found, shown = answered(told("on its way", -0.5, system_fingerprint="x"))
    assert found.whole and found.value == pytest.approx(-0.5)
    assert json.loads(shown) == told("on its way", None, system_fingerprint="x")
    assert answered(told("on its way", -0.5), keeps=True)[1] == b""


def test_an_encoders_probability_needs_nothing_asked():
    encoder = Endpoint(name="e", engine="encoder", base_url="http://x")
    assert logprob_fields(encoder) == {} and logprob_fields(ONE)["logprobs"] is True
    body = told("refund", None, freehold={"probability": 0.9})
    assert answered(body, signal="probability", endpoint=encoder)[0].value == 0.9


def test_a_stream_keeps_all_its_bytes_but_the_log_probabilities():
    def event(**choice):
        return {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}

    token = {"token": "on", "logprob": -0.25, "bytes": None}
    first = event(delta={"content": "on"}, logprobs={"content": [token]})
    last = event(delta={}, finish_reason="stop")
    for end in ("\n\n", "\r\n\r\n"):
        lines = [f"data: {json.dumps(first)}", ": a comment", f"data: {json.dumps(last)}", "data: [DONE]"]
        data = (end.join(lines) + end).encode()
        found, shown = answered(data, stream=True)
        assert found.whole and found.value == -0.25
        kept = shown.decode().split(end)
        assert kept[1:] == [*lines[1:], ""]
        assert json.loads(kept[0][5:]) == event(delta={"content": "on"}, logprobs=None)


@pytest.mark.parametrize(
    "body",
    [b"{half", b"[]", {"choices": []}, {"choices": 3}, {"choices": [3]}, told("", -0.1), told("on", None)],
)
def test_what_does_not_tell_has_no_value(body):
    assert answered(body)[0].value is None


def test_a_stream_that_did_not_end_is_not_whole():
    assert not answered(
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"on"}}]}\n\n', stream=True
    )[0].whole
