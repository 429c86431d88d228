"""Through a real gateway: bytes, streams, errors, traces."""

import asyncio
import gc
import http.client
import json
import socket

import pytest
from tests.gateway.asking import QUESTION, client, get, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, trace_of

from freehold.gateway.app import running
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.connection import Connection
from freehold.gateway.http.request import Request
from freehold.gateway.http.server import HttpServer
from freehold.gateway.limits.keys import KeyRing
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.types.endpoint import ANY_SERVED, Endpoint

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


def test_usage_the_client_asked_for_reaches_it(shared, upstream):
    upstream.answer = lambda seen: stream(stream_of("ja", usage=True))
    parts = list(
        client(shared).chat.completions.create(
            **QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    assert parts[-1].usage.total_tokens == 12


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


def test_an_upstream_error_passes_as_it_is(shared, upstream):
    error = {"error": {"message": "too long", "type": "invalid_request_error", "param": None, "code": "c"}}
    upstream.answer = lambda seen: plain(error, status=400)
    status, _, body = post(shared, QUESTION)
    assert (status, json.loads(body)) == (400, error) and len(upstream.seen) == 1


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not a JSON object"),
        (b"[1]", 400, "not a JSON object"),
        (b"", 400, "not a JSON object"),
        (b'{"model": 5}', 400, "model must be a string"),
        (b'{"messages": []}', 400, "must provide a model"),
        (b'{"model":"m","messages":' + b"[" * 100_000, 400, "not a JSON object"),
    ],
)
def test_bad_bodies_are_refused_in_openai_shape(shared, upstream, body, status, words):
    got, _, answer = post(shared, body)
    assert got == status and words in json.loads(answer)["error"]["message"] and not upstream.seen


def test_a_compressed_body_is_refused(shared, upstream):
    status, _, _ = post(shared, b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert status == 415


def test_invalid_utf8_does_not_break_the_gateway(shared, upstream):
    status, _, _ = post(shared, b'{"model":"m","messages":[{"role":"user","content":"\xff\xfe"}]}')
    assert status in (200, 400)
    assert post(shared, QUESTION)[0] == 200


def test_no_client_opts_out_unless_that_is_allowed(upstream, tmp_path):
    with gateway(upstream, tmp_path, capture_opt_out=False) as running:
        _, headers, _ = post(running, QUESTION, headers={"x-freehold-capture": "off"})
        assert trace_of(running, headers["x-freehold-trace-id"]).model == "m"


def test_codes_that_an_endpoint_makes_up_are_not_series_without_end(upstream, tmp_path):
    numbers = iter(range(1000))

    def failed(seen):
        told = {"error": {"message": "x", "code": 500, "type": f"failed_{next(numbers)}"}}
        return stream([b"data: " + json.dumps(told).encode() + b"\n\n"])

    upstream.answer = failed
    own = Endpoint(name="own", engine="vllm", base_url=upstream.base_url, models=ANY_SERVED)
    with gateway(upstream, tmp_path, endpoints=(own,), breaker_failures=9_999, capture="off") as running:
        for _ in range(130):
            assert post(running, {**QUESTION, "stream": True})[0] == 500
        eventually(lambda: metric(running, "freehold_refusals_total") == 130)
        lines = get(running, "/metrics").decode().splitlines()
    assert sum(line.startswith("freehold_refusals_total") for line in lines) == 101


def test_nothing_of_a_request_waits_for_the_garbage_collector(upstream, tmp_path):
    """It runs rarely, and a circle would hold each request's body until then, which no budget sees."""

    async def scenario():
        endpoint = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED)
        config = GatewayConfig(
            endpoints=(endpoint,), store_url=f"sqlite:///{tmp_path}/x.sqlite3", capture="raw"
        )
        async with running(config, tmp_path) as app:
            app.state.keys = KeyRing(())
            with socket.create_server(("127.0.0.1", 0)) as listener:
                server = HttpServer(app)
                await server.listen(listener)
                gc.collect()
                gc.disable()
                try:
                    for body in (QUESTION, {**QUESTION, "stream": True}, {**QUESTION, "model": 7}, b"{"):
                        await asyncio.to_thread(ask, listener.getsockname()[1], body)
                    await server.drain(2)
                    # By `type`: `isinstance` would wake lazy modules that other tests have loaded.
                    kinds = (ProxyExchange, Request, Connection)
                    left = [one for one in gc.get_objects() if type(one) in kinds]
                    assert left == []
                finally:
                    gc.enable()

    def ask(port, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        asked.request("POST", "/v1/chat/completions", data, {"content-type": "application/json"})
        asked.getresponse().read()
        asked.close()

    asyncio.run(scenario())
