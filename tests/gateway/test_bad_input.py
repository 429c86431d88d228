"""What people send who are careless, or worse: each ends as an error in the client's own API, and others go on."""

import gzip
import json
import socket

import psutil
import pytest
from tests.gateway.asking import QUESTION, get, post
from tests.gateway.loopback import (
    ANSWER,
    eventually,
    gateway,
    plain,
    stream,
    stream_of,
    trace_of,
    traces_of,
)

from freehold.types.endpoint import Endpoint, ServedModel

pytestmark = pytest.mark.process

STREAMED = {
    "/v1/messages": {**QUESTION, "max_tokens": 5, "stream": True},
    "/v1/responses": {"model": "m", "input": "x", "stream": True},
    "/api/chat": {**QUESTION, "stream": True},
}
INSIDE = (b"Traceback", b'File "', b"granian", b"pyreqwest", b"site-packages", b"Python/", b"httptools")


def raw(running, data, *, timeout=5.0):
    """What comes back for bytes as they are."""
    with socket.create_connection(("127.0.0.1", running.config.port), timeout=timeout) as client:
        client.sendall(data)
        parts = []
        try:
            while part := client.recv(65536):
                parts.append(part)
        except TimeoutError:
            pass
        return b"".join(parts)


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/api/chat"],
)
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[]",
        b'{"model":' + b"[" * 5000,
        b"\xff\xfe{}",
        b'{"model":"m","messages":[{"role":"user","content":"\xff\xfe"}]}',
    ],
)
def test_malformed_json_is_a_400_in_every_api(shared, upstream, path, body):
    status, _, answer = post(shared, body, path=path)
    error = json.loads(answer)["error"]
    assert status == 400 and not upstream.seen
    assert isinstance(error, str) if path.startswith("/api") else error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "model",
    ["../../etc/passwd", "a\nb", "\u0000", "m" * 300_000],
)
def test_model_names_are_names_and_nothing_else(upstream, named, model):
    status, _, body = post(named, {**QUESTION, "model": model})
    assert status == 404 and json.loads(body)["error"]["code"] == "model_not_found" and len(body) < 1000
    assert post(named, {"model": model}, path="/api/show")[0] in (404, 413)
    assert get(named, "/metrics").decode().count("freehold_in_flight 0.0") == 1
    assert not upstream.seen


@pytest.fixture(scope="module")
def named(_upstream, tmp_path_factory):
    """A gateway whose endpoint serves one model and no other."""
    served = (ServedModel(name="m", upstream_name="m"),)
    endpoint = Endpoint(name="own", engine="echo", base_url=_upstream.base_url, models=served)
    with gateway(_upstream, tmp_path_factory.mktemp("named"), endpoints=(endpoint,)) as running:
        yield running


def test_a_model_name_does_not_change_where_a_request_goes(shared, upstream):
    assert post(shared, {**QUESTION, "model": "../../admin"})[0] == 200
    assert upstream.seen[0].path == "/v1/chat/completions" and upstream.seen[0].json["model"] == "../../admin"


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data", "//evil.example/v1/models", "/v1/../freehold/v1/routes"],
)
def test_only_configured_endpoints_are_reached(shared, upstream, target):
    answer = raw(
        shared, f"GET {target} HTTP/1.1\r\nhost: 169.254.169.254\r\nconnection: close\r\n\r\n".encode()
    )
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert not upstream.seen


def test_neither_fields_nor_headers_nor_redirects_name_an_address(shared, upstream):
    inside = f"{upstream.base_url}/inside"
    upstream.answer = lambda seen: plain(b"", status=307, headers={"location": inside})
    body = {**QUESTION, "base_url": inside, "api_base": inside, "metadata": {"url": inside}}
    status, headers, answer = post(
        shared, body, headers={"x-forwarded-host": "evil.example", "forwarded": "host=evil"}
    )
    assert status == 502 and json.loads(answer)["error"]["code"] == "upstream_redirect"
    assert headers["location"] is None and [seen.path for seen in upstream.seen] == ["/v1/chat/completions"]
    assert upstream.seen[0].headers["host"] == upstream.base_url.removeprefix("http://")
    assert "evil" not in str(upstream.seen[0].headers)


def test_pages_of_other_origins_stay_out_whatever_the_upstream_allows(shared, upstream):
    allow = {
        "access-control-allow-origin": "*",
        "access-control-allow-credentials": "true",
        "x-powered-by": "x",
    }
    upstream.answer = lambda seen: plain(ANSWER, headers=allow)
    _, headers, _ = post(shared, QUESTION)
    assert not [name for name in headers if name.startswith("access-control") or name == "x-powered-by"]
    upstream.reset()
    for path in ("/v1/chat/completions", "/freehold/v1/feedback", "/api/show"):
        status, headers, body = post(shared, QUESTION, path=path, headers={"origin": "https://evil.example"})
        assert status == 403 and b"other origins" in body and not upstream.seen
        assert not [name for name in headers if name.startswith("access-control")]
    assert post(shared, QUESTION, headers={"origin": shared.base_url})[0] == 200
    asked = b"OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n"
    asked += b"access-control-request-method: POST\r\nconnection: close\r\n\r\n"
    answer = raw(shared, asked)
    assert answer.startswith(b"HTTP/1.1 403") and b"access-control" not in answer.lower()


def test_a_packed_bomb_from_the_upstream_is_not_unpacked_into_memory(upstream, tmp_path):
    bomb = gzip.compress(bytes(100_000_000))
    upstream.answer = lambda seen: plain(bomb, headers={"content-encoding": "gzip"})
    with gateway(upstream, tmp_path) as running:
        status, _, body = post(running, QUESTION, headers={"accept-encoding": "gzip"})
        assert status == 200 and body == bomb, "the client asked for it, and gets its bytes"
        upstream.answer = lambda seen: plain(ANSWER)
        assert post(running, QUESTION)[0] == 200
        eventually(lambda: len(traces_of(running)) == 1)
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert max(one.memory_info().rss for one in family) < 400e6


def test_a_stream_that_stalls_is_told_to_the_client(upstream, tmp_path):
    async def stall(request):
        return await stream(stream_of("on")[:2], pause=3.0)(request)

    upstream.answer = lambda seen: stall
    with gateway(upstream, tmp_path, read_timeout_s=0.5) as running:
        status, _, body = post(running, {**QUESTION, "stream": True})
        assert status == 200 and b"upstream_cut" in body and b"[DONE]" not in body
        eventually(lambda: [one for one in traces_of(running) if one.completeness == "upstream_cut"])


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/api/chat"])
def test_what_is_no_event_does_not_break_a_translation(shared, upstream, path):
    odd = [b": comment\n\n", b"garbage\n\n", b"data: [1]\n\n", b"data:\n\n"]
    upstream.answer = lambda seen: stream([*odd, *stream_of("on", " its", " way")])
    status, _, body = post(shared, STREAMED[path], path=path)
    assert status == 200 and b" its" in body and not any(mark in body for mark in INSIDE)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (b"data: {nonsense\n\n", b"cannot be read"),
        (b"data: \xff\xfe\n\n", b"cannot be read"),
        (b'data: {"error":{"message":"out of memory"}}\n\n', b"out of memory"),
        (b"", b"broke off its answer"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/api/chat"])
def test_an_answer_that_is_not_whole_is_never_told_as_one(shared, upstream, path, event, said):
    """Neither one with a hole, nor one that ends with an error, nor one whose end did not come."""
    upstream.answer = lambda seen: stream([*stream_of("on", " its", " way")[:3], event])
    _, headers, body = post(shared, STREAMED[path], path=path)
    assert said in body and not any(mark in body for mark in INSIDE)
    assert not any(end in body for end in (b"message_stop", b"response.completed", b'"done":true'))
    assert trace_of(shared, headers["x-freehold-trace-id"]).completeness == "upstream_cut"


def test_nothing_of_the_inside_leaves(shared, upstream):
    upstream.answer = lambda seen: plain(b"<html>nginx/1.2 at 10.0.0.1</html>", status=200)
    answers = [
        post(shared, b"{"),
        post(shared, QUESTION, path="/v1/messages"),
        post(shared, {**QUESTION, "max_tokens": 5}, path="/v1/messages"),
        post(shared, QUESTION, path="/nothing"),
        post(shared, QUESTION, path="/freehold/v1/routes/x"),
        post(shared, b"\x00", path="/freehold/v1/feedback"),
    ]
    for _, headers, body in answers:
        told = body + str(headers).encode()
        assert not any(mark in told for mark in INSIDE) and b"10.0.0.1" not in body
        assert headers["server"] == "freehold"


def test_odd_numbers_are_captured_and_a_field_that_is_there_twice_is_sent_on_once(shared, upstream):
    """What an upstream reads otherwise than the gateway would be a way around keys, limits and capture."""
    messages = b'"messages": [{"role": "user", "content": "hi"}]'
    for odd in (b'"x": 1e999', b'"x": ' + b"9" * 400, b'"temperature": 1e-9999'):
        _, headers, _ = post(shared, b'{"model": "m", ' + messages + b", " + odd + b"}")
        trace = trace_of(shared, headers["x-freehold-trace-id"])
        assert trace.request["messages"] == [{"role": "user", "content": "hi"}]
    filling = b'"y": "' + b"y" * 300_000 + b'", '
    for more in (b"", filling):
        for twice in (b'"model": "free", ', b'"mod\\u0065l": "free", '):
            status, _, _ = post(shared, b"{" + twice + more + b'"model": "m", ' + messages + b"}")
            assert status == 200
            assert b"free" not in upstream.seen[-1].body and upstream.seen[-1].json["model"] == "m"
