"""What people send who are careless, or worse, and pages under foreign names: each is an error, and others go on."""

import contextlib
import gzip
import http.client
import json
import socket
import time
import urllib.parse

import psutil
import pytest
from tests.gateway.asking import QUESTION, get, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, trace_of, traces_of

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of
from freehold.types.endpoint import Endpoint, ServedModel

pytestmark = pytest.mark.process


STREAMED = {
    "/v1/messages": {**QUESTION, "max_tokens": 5, "stream": True},
    "/v1/responses": {"model": "m", "input": "x", "stream": True},
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


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
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
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("model", ["../../etc/passwd", "a\nb", "\u0000", "m" * 300_000])
def test_model_names_are_names_and_nothing_else(upstream, named, model):
    status, _, body = post(named, {**QUESTION, "model": model})
    assert status == 404 and json.loads(body)["error"]["code"] == "model_not_found" and len(body) < 1000
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
    for path in ("/v1/chat/completions", "/freehold/v1/feedback"):
        status, headers, body = post(shared, QUESTION, path=path, headers={"origin": "https://evil.example"})
        assert status == 403 and b"other origins" in body and not upstream.seen
        assert not [name for name in headers if name.startswith("access-control")]
    assert post(shared, QUESTION, headers={"origin": shared.base_url})[0] == 200
    asked = b"OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n"
    asked += b"access-control-request-method: POST\r\nconnection: close\r\n\r\n"
    answer = raw(shared, asked)
    assert answer.startswith(b"HTTP/1.1 403") and b"access-control" not in answer.lower()


def test_a_packed_bomb_from_the_upstream_is_not_unpacked_into_memory(shared, upstream):
    bomb = gzip.compress(bytes(100_000_000))
    upstream.answer = lambda seen: plain(bomb, headers={"content-encoding": "gzip"})
    status, headers, body = post(shared, QUESTION, headers={"accept-encoding": "gzip"})
    assert status == 200 and body == bomb, "the client asked for it, and gets its bytes"
    upstream.answer = lambda seen: plain(ANSWER)
    assert trace_of(shared, post(shared, QUESTION)[1]["x-freehold-trace-id"])
    assert headers["x-freehold-trace-id"] not in {one.id for one in traces_of(shared)}
    family = psutil.Process(shared.process.pid).children(recursive=True)
    assert max(one.memory_info().rss for one in family) < 400e6


def test_a_stream_that_stalls_is_told_to_the_client(upstream, tmp_path):
    async def stall(request):
        return await stream(stream_of("on")[:2], pause=3.0)(request)

    upstream.answer = lambda seen: stall
    with gateway(upstream, tmp_path, read_timeout_s=0.5) as running:
        status, _, body = post(running, {**QUESTION, "stream": True})
        assert status == 200 and b"upstream_cut" in body and b"[DONE]" not in body
        eventually(lambda: [one for one in traces_of(running) if one.completeness == "upstream_cut"])


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
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
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_an_answer_that_is_not_whole_is_never_told_as_one(shared, upstream, path, event, said):
    """Neither one with a hole, nor one that ends with an error, nor one whose end did not come."""
    upstream.answer = lambda seen: stream([*stream_of("on", " its", " way")[:3], event])
    _, headers, body = post(shared, STREAMED[path], path=path)
    assert said in body and not any(mark in body for mark in INSIDE)
    assert not any(end in body for end in (b"message_stop", b"response.completed"))
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


def test_what_is_too_long_to_be_kept_is_answered_and_counted(upstream, tmp_path):
    with gateway(upstream, tmp_path, body_memory_bytes=64 * 1024 * 1024) as running:
        long = {**QUESTION, "user": "x" * (9 << 20)}
        assert post(running, long)[0] == 200
        upstream.answer = lambda seen: plain({**ANSWER, "id": "x" * (9 << 20)})
        assert post(running, QUESTION)[0] == 200
        eventually(lambda: metric(running, 'freehold_traces_dropped_total{why="size"}') == 2)
        upstream.answer = lambda seen: plain(ANSWER)
        assert post(running, QUESTION)[0] == 200
        eventually(lambda: len(traces_of(running)) == 1)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(upstream, tmp_path):
    with gateway(upstream, tmp_path, max_body_bytes=1_000_000) as running:
        assert post(running, b'{"model":"m","x":"' + b"y" * 900_000 + b'"}')[0] == 200
        with socket.create_connection(("127.0.0.1", running.config.port), timeout=5) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n"
            )
            assert b"413" in client.recv(4096)
        with socket.create_connection(("127.0.0.1", running.config.port), timeout=5) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            piece = b"%x\r\n%b\r\n" % (300_000, b"z" * 300_000)
            try:
                for _ in range(5):
                    client.sendall(piece)
            except OSError:
                pass
            assert b"413" in client.recv(4096)
        assert post(running, QUESTION)[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\n" + b"x-a: b\r\n" * 5000 + b"\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nx: " + b"y" * 300_000 + b"\r\n\r\n",
        b"\x00\xff nonsense\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_malformed_requests_end_their_connection_only(shared, upstream, sent):
    with socket.create_connection(("127.0.0.1", shared.config.port), timeout=5) as client:
        try:
            client.sendall(sent)
            answer = client.recv(4096)
        except OSError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert post(shared, QUESTION)[0] == 200


def test_slow_headers_do_not_hold_up_others(shared, upstream):
    slow = [socket.create_connection(("127.0.0.1", shared.config.port)) for _ in range(100)]
    for client in slow:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nx-slow: ")
    started = time.monotonic()
    assert post(shared, QUESTION)[0] == 200 and time.monotonic() - started < 10
    for client in slow:
        client.close()


EVIL = "evil.example:8420"
POSTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/freehold/v1/feedback",
)
GETS = ("/", "/ready", "/metrics", "/v1/models", "/v1/models/m", "/attribution")
DOORS = [*(("POST", path) for path in POSTS), *(("GET", path) for path in GETS)]


def ask(running, method, path, host, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", running.config.port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True)
        body = json.dumps(QUESTION).encode() if method == "POST" else b""
        for name, value in {"host": host, "content-type": "application/json", **headers}.items():
            if value is not None:
                connection.putheader(name, value)
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, reply.read()


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_every_door_is_shut_to_a_foreign_name(shared, upstream, method, path):
    status, body = ask(shared, method, path, EVIL, origin=f"http://{EVIL}")
    assert status == 421 and b"does not answer to that host name" in body
    assert "error" in json.loads(body), "in the shape of the API that was asked"
    assert not upstream.seen


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "[::1]:8420", "10.2.3.4:8420", None])
def test_this_machines_names_work(shared, upstream, host):
    assert ask(shared, "POST", POSTS[0], host)[0] == 200


def test_a_probe_by_any_name_learns_that_the_process_lives(shared, upstream):
    assert ask(shared, "GET", "/health", "pod-7.example")[0] == 200


def test_names_that_were_said_work_and_the_log_tells_how(upstream, tmp_path):
    with gateway(upstream, tmp_path, hosts=("models.example.com",)) as running:
        assert ask(running, "POST", POSTS[0], "models.example.com")[0] == 200
        assert ask(running, "POST", POSTS[0], "evil.example\t")[0] == 421
        assert ask(running, "POST", POSTS[0], EVIL)[0] == 421
    log = (tmp_path / "gateway.log").read_text()
    assert "--allow-host" in log and EVIL in log


def test_with_keys_a_name_matters_only_where_no_key_is_asked_for_or_names_were_said(upstream, tmp_path):
    keys = (ApiKey(name="a", hash=hash_of("k")), ApiKey(name="b", hash=hash_of("look"), role="read"))
    for hosts, wanted in (((), 200), (("models.example.com",), 421)):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        with gateway(upstream, folder, api_keys=keys, hosts=hosts) as running:
            shown = {"authorization": "Bearer k"}
            assert ask(running, "POST", POSTS[0], EVIL, **shown)[0] == wanted
            assert ask(running, "GET", "/v1/models", EVIL, **shown)[0] == wanted
            assert ask(running, "GET", "/metrics", EVIL)[0] == 421
            own = urllib.parse.urlsplit(running.base_url).netloc
            assert ask(running, "GET", "/metrics", own)[0] == 401
            assert ask(running, "GET", "/metrics", own, authorization="Bearer look")[0] == 200
