"""From the raw bytes of an exchange to a trace."""

import gzip
import json

import msgspec
import pytest
from tests.gateway.capture.exchanges import captured
from tests.gateway.loopback import ANSWER, stream_of

from freehold.gateway.capture.redaction import redact
from freehold.gateway.capture.traces import to_trace
from freehold.store.bodies import pack_trace, unpack_trace
from freehold.types.trace import Usage

CLAUDE = {
    "type": "message",
    "content": [{"type": "text", "text": "on its way"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 3},
}


def changed(**changes):
    return msgspec.structs.replace(captured(), **changes)


def text_of(trace):
    return trace.response["choices"][0]["message"]["content"]


def test_redaction_reaches_request_answer_metadata_and_names():
    body = {"model": "m", "messages": [], "metadata": {"from": "ada@example.com"}}
    answer = {**ANSWER, "choices": [{"message": {"content": "write to ada@example.com"}}]}
    exchange = changed(request=json.dumps(body).encode(), response=json.dumps(answer).encode())
    trace = to_trace(exchange, redactor=redact)
    assert "ada@" not in msgspec.json.encode(trace).decode()
    assert trace.user == "<EMAIL>" and trace.metadata == {"from": "<EMAIL>"}
    assert text_of(trace) == "write to <EMAIL>"


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1]", b"\xff\xfe{}"],
)
def test_a_request_that_cannot_be_read_is_no_trace(body):
    assert to_trace(changed(request=body), redactor=None) is None


def test_a_stream_is_assembled_and_counts_as_whole_only_with_its_end():
    whole = b"".join(stream_of("on", " its", " way", usage=True))
    trace = to_trace(changed(response=whole, streamed=True), redactor=None)
    assert (text_of(trace), trace.finish_reason, trace.usage.prompt_tokens) == ("on its way", "stop", 9)
    half = b"".join(stream_of("on", " its")[:3])
    trace = to_trace(changed(response=half, streamed=True), redactor=None)
    assert (text_of(trace), trace.completeness) == ("on its", "upstream_cut")
    trace = to_trace(changed(response=half, streamed=True, completeness="client_aborted"), redactor=None)
    assert trace.completeness == "client_aborted"


def test_compressed_answers_are_unpacked_within_bounds():
    packed = gzip.compress(json.dumps(ANSWER).encode())
    assert to_trace(changed(response=packed, content_encoding="gzip"), redactor=None).response == ANSWER
    bomb = gzip.compress(bytes(40_000_000))
    assert to_trace(changed(response=bomb, content_encoding="gzip"), redactor=None) is None
    assert to_trace(changed(response=b"no gzip", content_encoding="gzip"), redactor=None) is None
    assert to_trace(changed(content_encoding="br"), redactor=None) is None


def test_other_apis_become_chats():
    asked = {
        "model": "m",
        "max_tokens": 5,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "hi"}],
    }
    exchange = changed(
        kind="messages",
        request=json.dumps(asked).encode(),
        response=json.dumps(CLAUDE).encode(),
        response_kind="anthropic",
    )
    trace = to_trace(exchange, redactor=None)
    assert trace.kind == "chat" and [turn["role"] for turn in trace.request["messages"]] == ["system", "user"]
    assert (text_of(trace), trace.finish_reason, trace.usage.prompt_tokens) == ("on its way", "stop", 9)
    exchange = changed(kind="responses", request=b'{"model": "m", "input": "hi"}')
    trace = to_trace(exchange, redactor=None)
    assert trace.request["messages"] == [{"role": "user", "content": "hi"}] and text_of(trace) == "on its way"
    odd = changed(kind="messages", request=b'{"model": "m", "messages": [], "mcp_servers": [{}]}')
    assert to_trace(odd, redactor=None) is None


def test_what_an_api_bills_is_captured_in_its_own_words_streamed_or_not():
    counts = {"input_tokens": 20, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 500,
              "cache_creation": {"ephemeral_1h_input_tokens": 300, "ephemeral_5m_input_tokens": 200}}  # fmt: skip
    billed = Usage(
        prompt_tokens=2520,
        completion_tokens=50,
        cached_prompt_tokens=2000,
        cache_write_tokens=500,
        cache_write_1h_tokens=300,
    )
    answer = json.dumps({**CLAUDE, "usage": {**counts, "output_tokens": 50}}).encode()
    plain = changed(kind="messages", response_kind="anthropic", response=answer)
    assert to_trace(plain, redactor=None).usage == billed
    events = [
        {"type": "message_start", "message": {"usage": {**counts, "output_tokens": 1}}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": "hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 50}},
        {"type": "message_stop"},
    ]
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    streamed = changed(kind="messages", response_kind="anthropic", response=stream, streamed=True)
    trace = to_trace(streamed, redactor=None)
    assert trace.usage == billed and unpack_trace(pack_trace(trace)) == trace
    said = {
        "object": "response",
        "status": "completed",
        "service_tier": "flex",
        "output": [],
        "usage": {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 64},
            "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 32},
        },
    }
    answered = changed(response_kind="responses", response=json.dumps(said).encode())
    assert to_trace(answered, redactor=None).usage == Usage(
        prompt_tokens=100,
        completion_tokens=40,
        cached_prompt_tokens=64,
        reasoning_tokens=32,
        service_tier="flex",
    )


@pytest.mark.parametrize(
    "usage",
    [[], {"output_tokens": {"n": 1}}, "many"],
)
def test_an_answer_of_another_shape_costs_no_trace(usage):
    for kind in ("anthropic", "responses", "openai"):
        said = {"type": "message", "object": "response", "usage": usage, "output": [1], "content": ["x"]}
        exchange = changed(response_kind=kind, response=json.dumps(said).encode())
        trace = to_trace(exchange, redactor=None)
        assert trace.request == msgspec.json.decode(captured().request)


@pytest.mark.parametrize(
    "number",
    ["1e999", "NaN", "9" * 5000, "1e-9999"],
)
def test_a_number_that_is_none_keeps_no_request_from_being_kept(number):
    """Some upstreams read it, so a client could leave its words out of the traces by it."""
    body = f'{{"model": "m", "messages": [{{"role": "user", "content": "ada@example.com"}}], "x": {number}}}'
    trace = to_trace(changed(request=body.encode()), redactor=redact)
    assert trace.request["messages"] == [{"role": "user", "content": "<EMAIL>"}]
    assert unpack_trace(pack_trace(trace)).request["messages"] == trace.request["messages"]


def test_half_of_a_surrogate_pair_is_kept_as_a_question_mark():
    body = rb'{"model": "m", "messages": [{"role": "user", "content": "a\ud800b \ud83d\ude00"}], "\udfff": 1}'
    trace = to_trace(changed(request=body), redactor=None)
    assert trace.request["messages"] == [{"role": "user", "content": "a?b \U0001f600"}]
    assert unpack_trace(pack_trace(trace)) == trace
