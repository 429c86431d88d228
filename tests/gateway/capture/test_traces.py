"""From the raw bytes of an exchange, as a worker captures it, to a trace."""

import gzip
import json

import msgspec
import pytest
from tests.gateway.loopback import ANSWER

from freehold.gateway.capture.redaction import redact
from freehold.gateway.capture.traces import to_trace
from freehold.gateway.messages import CapturedExchange
from freehold.types.trace import Trace


def captured(text="mail ada@example.com"):
    return CapturedExchange(
        id="1",
        at_ms=1,
        kind="chat",
        model="m",
        request=json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode(),
        response=json.dumps(ANSWER).encode(),
        status=200,
        streamed=False,
        completeness="complete",
        user="ada@example.com",
        conversation_id="chat with ada@example.com",
    )


def kept(trace):
    """A trace as the store gives it back."""
    return msgspec.json.decode(msgspec.json.encode(trace), type=Trace)


def changed(**changes):
    return msgspec.structs.replace(captured(), **changes)


def text_of(trace):
    return trace.response["choices"][0]["message"]["content"]


def test_redaction_reaches_request_answer_metadata_and_names():
    body = {"model": "m", "messages": [], "metadata": {"from": "ada@example.com"}}
    answer = {**ANSWER, "choices": [{"message": {"content": "write to ada@example.com"}}]}
    exchange = changed(
        request=json.dumps(body).encode(), response=json.dumps(answer).encode(), model="ada@example.com"
    )
    trace = to_trace(exchange, redactor=redact)
    assert "ada@" not in msgspec.json.encode(trace).decode()
    assert trace.user == "<EMAIL>" and trace.metadata == {"from": "<EMAIL>"}
    assert text_of(trace) == "write to <EMAIL>"


def test_names_of_fields_and_long_numbers_are_redacted_and_no_field_is_lost():
    given = {
        "ada@example.com": [{"deep": "x@y.example"}, None],
        "bob@example.com": 2,
        "card": 4111111111111111,
        "created": 1764590000,
        "ok": True,
    }
    made = {
        "<EMAIL>": [{"deep": "<EMAIL>"}, None],
        "<EMAIL> 1": 2,
        "card": "<CARD>",
        "created": 1764590000,
        "ok": True,
    }
    assert redact(given) == made


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff\xfe{}"])
def test_a_request_that_cannot_be_read_is_no_trace(body):
    assert to_trace(changed(request=body), redactor=None) is None


def test_compressed_answers_are_unpacked_within_bounds():
    packed = gzip.compress(json.dumps(ANSWER).encode())
    assert to_trace(changed(response=packed, content_encoding="gzip"), redactor=None).response == ANSWER
    bomb = gzip.compress(bytes(40_000_000))
    assert to_trace(changed(response=bomb, content_encoding="gzip"), redactor=None) is None
    assert to_trace(changed(response=b"no gzip", content_encoding="gzip"), redactor=None) is None
    assert to_trace(changed(content_encoding="br"), redactor=None) is None


@pytest.mark.parametrize("usage", [[], {"output_tokens": {"n": 1}}, "many"])
def test_an_answer_of_another_shape_costs_no_trace(usage):
    for kind in ("anthropic", "responses", "openai"):
        said = {"type": "message", "object": "response", "usage": usage, "output": [1], "content": ["x"]}
        exchange = changed(response_kind=kind, response=json.dumps(said).encode())
        trace = to_trace(exchange, redactor=None)
        assert trace.request == msgspec.json.decode(captured().request)


@pytest.mark.parametrize("number", ["1e999", "NaN", "9" * 5000, "1e-9999"])
def test_a_number_that_is_none_keeps_no_request_from_being_kept(number):
    """Some upstreams read it, so a client could leave its words out of the traces by it."""
    body = f'{{"model": "m", "messages": [{{"role": "user", "content": "ada@example.com"}}], "x": {number}}}'
    trace = to_trace(changed(request=body.encode()), redactor=redact)
    assert trace.request["messages"] == [{"role": "user", "content": "<EMAIL>"}]
    assert kept(trace).request["messages"] == trace.request["messages"]


def test_half_of_a_surrogate_pair_is_kept_as_a_question_mark():
    body = rb'{"model": "m", "messages": [{"role": "user", "content": "a\ud800b \ud83d\ude00"}], "\udfff": 1}'
    trace = to_trace(changed(request=body), redactor=None)
    assert trace.request["messages"] == [{"role": "user", "content": "a?b \U0001f600"}]
    assert kept(trace) == trace
