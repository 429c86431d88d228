"""Through a real gateway: bytes, streams, errors, traces."""

import pytest
from tests.gateway.asking import QUESTION, client, post
from tests.gateway.loopback import ANSWER, gateway, plain, stream, stream_of, trace_of

pytestmark = pytest.mark.process


def test_bytes_pass_unchanged_both_ways(shared, upstream):
    odd = b'{ "model":"m" ,"unknown_field": 1.50, "messages":[{"role":"user","content":"\\u00e9\xc3\xa9"}] }'
    back = b'{"choices": [ ],  "x": 1e2}'
    upstream.answer = lambda seen: plain(back, headers={"x-request-id": "r1", "x-ratelimit-remaining": "7"})
    status, headers, body = post(shared, odd, headers={"openai-organization": "o1"})
    assert (status, body) == (200, back)
    assert upstream.seen[0].body == odd
    assert (headers["x-request-id"], headers["x-ratelimit-remaining"]) == ("r1", "7")
    assert upstream.seen[0].headers["openai-organization"] == "o1"
    assert headers["server"] == "freehold" and "granian" not in str(headers)


def test_the_openai_client_notices_no_difference(shared, upstream):
    answer = client(shared).chat.completions.create(**QUESTION)
    assert answer.choices[0].message.content == "on its way"
    assert upstream.seen[0].headers["authorization"] == "Bearer sk-upstream"
    upstream.answer = lambda seen: stream(stream_of("on", " its", " way"))
    parts = client(shared).chat.completions.create(**QUESTION, stream=True)
    words = [part.choices[0].delta.content for part in parts]
    assert words == ["", "on", " its", " way", None]


def test_a_plain_exchange_becomes_a_trace(shared, upstream):
    status, headers, _ = post(
        shared, {**QUESTION, "metadata": {"language": "de"}}, headers={"x-freehold-session": "s1"}
    )
    trace = trace_of(shared, headers["x-freehold-trace-id"])
    assert status == 200 and trace.completeness == "complete" and trace.finish_reason == "stop"
    assert trace.request["messages"] == QUESTION["messages"] and trace.response == ANSWER
    assert (trace.conversation_id, trace.metadata) == ("s1", {"language": "de"})
    assert trace.usage.completion_tokens == 3 and trace.source == "gateway" and trace.kind == "chat"
    assert 0 < trace.ttft_ms <= trace.total_ms


def test_a_stream_becomes_a_whole_trace_with_usage_the_client_did_not_ask_for(shared, upstream):
    def answer(seen):
        return stream(stream_of("on", " its", " way", usage=seen.json["stream_options"]["include_usage"]))

    upstream.answer = answer
    raw = client(shared).chat.completions.with_raw_response.create(**QUESTION, stream=True)
    parts = list(raw.parse())
    assert all(part.choices for part in parts), "the usage chunk was hidden from the client"
    trace = trace_of(shared, raw.headers["x-freehold-trace-id"])
    assert trace.response["choices"][0]["message"]["content"] == "on its way"
    assert trace.usage.prompt_tokens == 9 and trace.streamed and trace.completeness == "complete"
    assert "stream_options" not in trace.request, "a trace has what the client asked"


def test_a_request_can_opt_out_of_capture(shared, upstream):
    _, headers, _ = post(shared, QUESTION, headers={"x-freehold-capture": "off"})
    assert "x-freehold-trace-id" not in headers
    assert "x-freehold-capture" not in upstream.seen[0].headers


def test_embeddings_and_text_completions_pass(shared, upstream):
    upstream.answer = lambda seen: plain(
        {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
    )
    made = client(shared).embeddings.create(model="m", input="x", encoding_format="float")
    assert made.data[0].embedding == [0.5]
    upstream.answer = lambda seen: plain(
        {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": []}
    )
    assert client(shared).completions.create(model="m", prompt="x").object == "text_completion"
    assert [seen.path for seen in upstream.seen] == ["/v1/embeddings", "/v1/completions"]


def test_a_compressed_body_is_refused(shared, upstream):
    status, _, _ = post(shared, b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert status == 415


def test_no_client_opts_out_unless_that_is_allowed(upstream, tmp_path):
    with gateway(upstream, tmp_path, capture_opt_out=False) as running:
        _, headers, _ = post(running, QUESTION, headers={"x-freehold-capture": "off"})
        assert trace_of(running, headers["x-freehold-trace-id"]).model == "m"
