"""How an upstream's response reaches the client: chunk by chunk or at once, translated, and when it breaks off."""

import asyncio
import gzip
import http.client
import json
import threading
import urllib.request

import pytest
from aiohttp import web
from tests.gateway.asking import QUESTION, client, post
from tests.gateway.loopback import (
    ANSWER,
    eventually,
    gateway,
    on_demand,
    plain,
    stream,
    stream_of,
    trace_of,
    traces_of,
)

from freehold.types.endpoint import Endpoint, ServedModel

pytestmark = pytest.mark.process

LARGE = 3 * 1024 * 1024


def sent_in_parts(*parts, length=None, headers=None, cut=False, pause=0.05):
    """A response that is not a stream, in parts; with `cut` the connection breaks instead of ending."""

    async def respond(request):
        response = web.StreamResponse(headers={"content-type": "application/json", **(headers or {})})
        if length is not None:
            response.content_length = length
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(pause)
        if cut:
            request.transport.abort()
            raise ConnectionResetError
        await response.write_eof()
        return response

    return lambda seen: respond


# As it comes


def asked(running, body, **headers):
    data = json.dumps(body).encode()
    request = urllib.request.Request(running.base_url + "/v1/chat/completions", data, headers)
    return urllib.request.urlopen(request, timeout=30)


def test_no_chunk_of_a_stream_is_held_back_or_merged(shared, upstream):
    chunks, go = [b'data: {"n":%d}\n\n' % number for number in range(5)], threading.Semaphore(0)
    upstream.answer = lambda seen: on_demand(chunks, go, content_type="text/event-stream")
    with asked(shared, {**QUESTION, "stream": True}) as answer:
        for chunk in chunks:
            assert answer.readline() + answer.readline() == chunk
            go.release()
        assert answer.read() == b""


def test_a_small_answer_is_sent_at_once_with_its_length(shared, upstream):
    upstream.answer = sent_in_parts(b'{"a":', b"1}", length=7)
    status, headers, body = post(shared, QUESTION)
    assert (status, headers["content-length"], body) == (200, "7", b'{"a":1}')


def test_a_large_answer_is_passed_on_as_it_comes(shared, upstream):
    go, length = threading.Semaphore(0), str(2 * LARGE)
    parts = b"x" * LARGE, b"y" * LARGE
    upstream.answer = lambda seen: on_demand(
        parts, go, content_type="application/json", content_length=length
    )
    with asked(shared, QUESTION, **{"x-freehold-capture": "off"}) as answer:
        assert answer.read(1) == b"x"
        go.release()
        assert answer.read() == b"".join(parts)[1:]
        assert answer.headers["content-length"] == length


def test_usage_the_client_did_not_ask_for_is_hidden_unless_it_is_compressed(shared, upstream):
    events = stream_of("on", usage=True)
    upstream.answer = lambda seen: stream(events)
    _, headers, body = post(shared, {**QUESTION, "stream": True})
    assert b'"usage"' not in body and body.endswith(b"data: [DONE]\n\n")
    assert upstream.seen[0].json["stream_options"] == {"include_usage": True}
    trace = trace_of(shared, headers["x-freehold-trace-id"])
    assert trace.usage.prompt_tokens == 9 and trace.streamed and trace.completeness == "complete"
    assert "stream_options" not in trace.request, "a trace has what the client asked"
    packed = gzip.compress(b"".join(events))

    async def compressed(request):
        sent = {"content-type": "text/event-stream", "content-encoding": "gzip"}
        return web.Response(body=packed, headers=sent)

    upstream.answer = lambda seen: compressed
    _, headers, body = post(shared, {**QUESTION, "stream": True}, headers={"accept-encoding": "gzip"})
    assert body == packed
    assert trace_of(shared, headers["x-freehold-trace-id"]).usage.prompt_tokens == 9


# When it breaks off


def test_a_small_answer_that_breaks_off_is_an_error(shared, upstream):
    upstream.answer = sent_in_parts(b'{"choices": [', length=900, cut=True)
    status, _, body = post(shared, QUESTION)
    assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_cut")
    assert len(upstream.seen) == 1


@pytest.mark.parametrize("length", [None, 2 * LARGE])
def test_a_large_answer_that_breaks_off_does_not_look_complete(shared, upstream, length):
    upstream.answer = sent_in_parts(b"x" * LARGE, length=length, cut=True)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        post(shared, {**QUESTION, "user": f"large {length}"})
    trace = eventually(lambda: [one for one in traces_of(shared) if one.user == f"large {length}"])[0]
    assert trace.completeness == "upstream_cut"


def test_a_stream_of_a_stated_length_that_breaks_off_tells_the_whole_error(shared, upstream):
    """Within the length stated, the error was cut off in its middle, and the client had the end of its answer."""
    first = stream_of("on")[0]

    async def broken(request):
        headers = {"content-type": "text/event-stream", "content-length": str(len(first) + 3)}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(first)
        request.transport.abort()
        raise ConnectionResetError

    upstream.answer = lambda seen: broken
    _, headers, sent = post(shared, {**QUESTION, "stream": True, "stream_options": {"include_usage": True}})
    assert "content-length" not in headers
    assert sent.startswith(first) and b"broke off" in sent and sent.endswith(b"}}\n\n")


def test_a_stream_that_ends_without_an_end_is_cut(shared, upstream):
    upstream.answer = lambda seen: stream(stream_of("on", " its")[:3])
    list(client(shared).chat.completions.create(**QUESTION, user="quiet", stream=True))
    trace = eventually(lambda: [trace for trace in traces_of(shared) if trace.user == "quiet"])[0]
    assert trace.completeness == "upstream_cut"


def test_a_client_that_leaves_cancels_the_upstream_at_once(shared, upstream):
    upstream.answer = lambda seen: stream(stream_of(*"abcdefghij" * 40), pause=0.05)
    with client(shared).chat.completions.create(**QUESTION, user="leaver", stream=True) as parts:
        next(iter(parts))
    eventually(lambda: upstream.aborted == 1, timeout_s=16.0)
    trace = eventually(lambda: [trace for trace in traces_of(shared) if trace.user == "leaver"])[0]
    assert trace.completeness == "client_aborted" and trace.response is not None


# The model's name


@pytest.fixture(scope="module")
def adapted(_upstream, candidate, tmp_path_factory):
    """An engine here that answers under a name of its own."""
    models = (ServedModel(name="mine", upstream_name="m"), ServedModel(name="base", upstream_name="base"))
    endpoints = (Endpoint(name="engine", engine="llamacpp", base_url=candidate.base_url, models=models),)
    with gateway(_upstream, tmp_path_factory.mktemp("named"), endpoints=endpoints) as running:
        yield running


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_answers_of_an_engine_here_name_the_model_that_was_asked_for(adapted, candidate, path):
    asked = {"model": "mine", "prompt": "x"} if path == "/v1/completions" else {**QUESTION, "model": "mine"}
    for answer in (lambda seen: plain(ANSWER), sent_in_parts(json.dumps(ANSWER).encode())):
        candidate.answer = answer
        _, headers, body = post(adapted, asked, path=path)
        assert json.loads(body) == {**ANSWER, "model": "mine"}
        assert trace_of(adapted, headers["x-freehold-trace-id"]).response["model"] == "m"
    large = {**ANSWER, "system_fingerprint": "f" * LARGE}
    candidate.answer = lambda seen: plain(large)
    assert json.loads(post(adapted, asked, path=path)[2]) == {**large, "model": "mine"}
    candidate.answer = lambda seen: stream(stream_of("on", " its"))
    _, _, body = post(adapted, {**asked, "stream": True}, path=path)
    assert body == b"".join(stream_of("on", " its")).replace(b'"model":"m"', b'"model":"mine"')


def test_bytes_pass_unchanged_both_ways(shared, upstream):
    odd = b'{ "model":"m" ,"unknown_field": 1.50, "messages":[{"role":"user","content":"\\u00e9\xc3\xa9"}] }'
    back = b'{"choices": [ ],  "x": 1e2}'
    more = {"set-cookie": "a=b", "keep-alive": "timeout=9", "server": "nginx"}
    more |= {"x-request-id": "r1", "x-ratelimit-remaining": "7"}
    upstream.answer = lambda seen: plain(back, headers=more)
    status, headers, body = post(shared, odd, headers={"openai-organization": "o1"})
    assert (status, body) == (200, back)
    assert upstream.seen[0].body == odd
    assert (headers["x-request-id"], headers["x-ratelimit-remaining"]) == ("r1", "7")
    assert "set-cookie" not in headers and "keep-alive" not in headers
    assert headers["x-freehold-request-id"] == headers["x-freehold-trace-id"]
    assert upstream.seen[0].headers["openai-organization"] == "o1"
    assert headers["server"] == "freehold" and "granian" not in str(headers)


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


def test_a_compressed_body_is_refused(shared, upstream):
    status, _, _ = post(shared, b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert status == 415


def test_no_client_opts_out_unless_that_is_allowed(upstream, tmp_path):
    with gateway(upstream, tmp_path, capture_opt_out=False) as running:
        _, headers, _ = post(running, QUESTION, headers={"x-freehold-capture": "off"})
        assert trace_of(running, headers["x-freehold-trace-id"]).model == "m"
