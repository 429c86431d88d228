"""The other client, for what lies behind TLS, a proxy or a password: the same promises hold."""

import asyncio
import hashlib
import json
import socket
import time

import httpx
import openai
import pytest
import websockets
from tests.gateway.asking import QUESTION, client, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, stream, stream_of, trace_of
from tests.gateway.test_bad_upstreams import Socket
from tests.gateway.vendor import AUDIO, Vendor

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.tls_client import TlsClient
from freehold.gateway.serve import free_port
from freehold.types.endpoint import ANY_SERVED, Endpoint

pytestmark = pytest.mark.process


def behind_a_password(port):
    return Endpoint(
        name="far", engine="remote", models=ANY_SERVED, base_url=f"http://me:secret@127.0.0.1:{port}"
    )


@pytest.fixture(scope="module")
def far(_upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("far")
    with gateway(_upstream, folder, endpoints=(behind_a_password(_upstream.port),)) as running:
        yield running


def test_an_answer_passes_and_is_kept(far, upstream):
    status, headers, body = post(far, QUESTION)
    assert status == 200 and json.loads(body) == ANSWER
    assert upstream.seen[0].headers["authorization"].startswith("Basic ")
    assert trace_of(far, headers["x-freehold-trace-id"]).response == ANSWER


def test_a_stream_is_not_held_back(far, upstream):
    upstream.answer = lambda seen: stream(stream_of("on", " its", " way"), pause=0.15)
    started = time.monotonic()
    arrivals = []
    for part in client(far).chat.completions.create(**QUESTION, stream=True):
        arrivals.append((time.monotonic() - started, part.choices[0].delta.content))
    assert [word for _, word in arrivals] == ["", "on", " its", " way", None]
    assert arrivals[-1][0] - arrivals[0][0] > 0.4


def test_a_stream_that_is_cut_is_said_to_be(far, upstream):
    upstream.answer = lambda seen: stream(stream_of("on", " its")[:3], cut=True)
    with pytest.raises(openai.APIError, match="broke off"):
        list(client(far).chat.completions.create(**QUESTION, stream=True))


def test_a_client_that_leaves_cancels_it(far, upstream):
    upstream.answer = lambda seen: stream(stream_of(*"abcdefghij" * 40), pause=0.05)
    with client(far).chat.completions.create(**QUESTION, stream=True) as parts:
        next(iter(parts))
    eventually(lambda: upstream.aborted == 1, timeout_s=16.0)


def test_errors_pass_and_failures_are_named(far, upstream, tmp_path):
    upstream.answer = lambda seen: plain({"error": {"code": "c"}}, status=400)
    assert post(far, QUESTION)[0] == 400
    nobody = behind_a_password(free_port())
    with gateway(upstream, tmp_path, endpoints=(nobody,), retries=0, capture="off") as running:
        status, _, body = post(running, QUESTION)
        assert status == 502 and b"cannot be reached" in body and b"secret" not in body
    upstream.answer = lambda seen: plain(ANSWER, delay=30)
    slow = behind_a_password(upstream.port)
    with gateway(
        upstream, tmp_path, endpoints=(slow,), retries=0, read_timeout_s=0.5, capture="off"
    ) as running:
        assert post(running, QUESTION)[0] == 504


def test_an_upstream_that_switches_protocols_unasked_is_an_error(upstream, tmp_path):
    """Passed on, the client would take all that follows on its connection for another protocol."""
    odd = Socket(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", closes=False
    )
    one = behind_a_password(int(odd.base_url.rpartition(":")[2]))
    try:
        with gateway(upstream, tmp_path, endpoints=(one,), others_to="far", retries=0) as running:
            for path in ("/v1/chat/completions", "/v1/messages", "/v1/files"):
                asked = {**QUESTION, "max_tokens": 5}
                assert post(running, asked, path=path)[0] == 502
    finally:
        odd.close()


def test_a_header_of_other_bytes_than_ascii_costs_no_answer(upstream, tmp_path):
    data = json.dumps(ANSWER).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-name: M\xc3\xbcller\r\nx-kept: yes\r\n"
    odd = Socket(head + b"content-length: %d\r\n\r\n%b" % (len(data), data), closes=False)
    one = behind_a_password(int(odd.base_url.rpartition(":")[2]))
    try:
        with gateway(upstream, tmp_path, endpoints=(one,), others_to="far", retries=0) as running:
            for path in ("/v1/chat/completions", "/v1/files"):
                status, headers, body = post(running, QUESTION, path=path)
                assert (status, body, headers["x-kept"], headers["x-name"]) == (200, data, "yes", None)
    finally:
        odd.close()


def test_a_clients_header_of_other_bytes_than_ascii_reaches_the_endpoint(far, upstream):
    body = json.dumps(QUESTION).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-title: M\xfcller\r\nconnection: close\r\n"
    with socket.create_connection(("127.0.0.1", far.config.port), timeout=10) as sent:
        sent.sendall(head + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        assert sent.recv(65536).startswith(b"HTTP/1.1 200")


def test_the_addresses_that_are_remembered_are_few(upstream):
    async def ask_many():
        one = TlsClient(MemoryBudget(), connect_timeout_s=1, read_timeout_s=5)
        for number in range(400):
            answer = await one.send("GET", f"{upstream.base_url}/v1/files/file-{number}", [], None)
            await answer.close()
        kept = one._parsed.cache_info().currsize
        await one.close()
        return kept

    assert asyncio.run(ask_many()) <= 256


@pytest.fixture(scope="module")
def vendor():
    one = Vendor()
    yield one
    one.close()


@pytest.fixture(scope="module")
def passing(vendor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("passing")
    with gateway(vendor, folder, endpoints=(behind_a_password(vendor.port),), others_to="far") as running:
        yield running


@pytest.mark.parametrize("length", [True, False])
def test_a_long_body_is_sent_as_it_comes(vendor, passing, length):
    piece, pieces = AUDIO[: 1 << 17], 400
    digest = hashlib.sha256(piece * pieces).hexdigest()
    headers = {"content-length": str(len(piece) * pieces)} if length else {}
    with httpx.Client(timeout=60) as asking:
        url = f"{passing.base_url}/v1/uploads/huge"
        answer = asking.post(url, content=(piece for _ in range(pieces)), headers=headers)
    assert answer.json() == {"bytes": len(piece) * pieces, "sha256": digest}
    assert ("content-length" in vendor.seen[-1][2]) == length
    assert vendor.seen[-1][2]["authorization"].startswith("Basic ")


def test_bytes_come_back_as_they_are(vendor, passing):
    with httpx.Client(timeout=60) as asking:
        assert asking.get(f"{passing.base_url}/v1/files/f/content").content == AUDIO
        assert asking.delete(f"{passing.base_url}/v1/files/f").json()["verb"] == "DELETE"


def test_a_websocket_takes_the_password_and_another_host_none(vendor, passing):
    async def talk():
        url = passing.base_url.replace("http", "ws") + "/v1/realtime"
        async with websockets.connect(url, subprotocols=["realtime"]) as one:
            return await one.recv()

    assert "session.created" in asyncio.run(talk())
    headers = vendor.seen[-1][2]
    assert headers["authorization"] == "Basic bWU6c2VjcmV0" and headers["host"] == f"127.0.0.1:{vendor.port}"
