"""The clients' side, on a raw socket: what only misbehaving or unusual clients show."""

import asyncio
import contextlib
import json
import socket
import time

import pytest
from tests.gateway.asking import QUESTION
from tests.gateway.http.sockets import ask, raw, read_answer, serving
from tests.gateway.loopback import stream, stream_of

from freehold.gateway import deadlines
from freehold.gateway.http import connection
from freehold.gateway.http import server as server_module

pytestmark = pytest.mark.process


def test_a_body_in_chunks_arrives_whole(shared, upstream):
    data = json.dumps(QUESTION).encode()
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:7], data[7:]))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: [::1]\r\ntransfer-encoding: chunked\r\n\r\n"
    with raw(shared) as client, client.makefile("rb") as file:
        client.sendall(head + pieces + b"0\r\nx-trailer: y\r\n\r\n")
        assert read_answer(file)[0] == 200
    assert upstream.seen[0].json == QUESTION and "x-trailer" not in upstream.seen[0].headers


def test_who_expects_continue_is_told_to_go_on(shared, upstream):
    whole = ask(more="expect: 100-continue\r\n")
    head, body = whole.split(b"\r\n\r\n", 1)
    with raw(shared) as client, client.makefile("rb") as file:
        client.sendall(head + b"\r\n\r\n")
        assert file.readline() == b"HTTP/1.1 100 Continue\r\n" and file.readline() == b"\r\n"
        client.sendall(body)
        assert read_answer(file)[0] == 200


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_declined(shared, offer):
    more = f"connection: upgrade\r\nupgrade: {offer}\r\n"
    with raw(shared) as client, client.makefile("rb") as file:
        client.sendall(ask(more=more) + ask())
        assert [read_answer(file)[0] for _ in range(2)] == [200, 200]
        client.sendall(f"GET /health HTTP/1.1\r\nhost: [::1]\r\n{more}\r\n".encode() + ask())
        assert [read_answer(file)[0] for _ in range(2)] == [200, 200]


def test_http_1_0_gets_its_stream_to_the_end_of_the_connection(shared, upstream):
    upstream.answer = lambda seen: stream(stream_of("ja"))
    with raw(shared) as client, client.makefile("rb") as file:
        client.sendall(ask({**QUESTION, "stream": True}, version="1.0"))
        head, _, body = file.read().partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head and body == b"".join(stream_of("ja"))


def test_a_client_that_reads_slowly_makes_the_endpoint_wait(shared, upstream):
    sent = 0

    def answer(seen):
        async def respond(request):
            nonlocal sent
            from aiohttp import web

            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            for _ in range(400):
                await response.write(b"data: " + b"x" * 100_000 + b"\n\n")
                sent += 1
            await response.write(b"data: [DONE]\n\n")
            return response

        return respond

    upstream.answer = answer
    with raw(shared) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.sendall(ask({**QUESTION, "stream": True, "user": "slow"}))
        client.recv(1000)
        time.sleep(1.0)
        held = sent
        assert held < 300, "40 MB did not pile up in the gateway"
        got, tail = 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            part = client.recv(1 << 20)
            assert part, "the stream ended too early"
            got += len(part)
            tail = (tail + part)[-5:]
    assert got > 40_000_000


def test_a_client_that_never_reads_its_answer_is_let_go(monkeypatch):
    monkeypatch.setattr(deadlines, "UNREAD_S", 0.2)
    monkeypatch.setattr(server_module, "_SWEEP_EVERY_S", 0.05)
    ended = []

    async def handler(request):
        request.start_response(200, [])
        while not request.disconnected:
            request.send([b"x" * 100_000])
            if request.is_full:
                await request.drain()
        ended.append(True)

    async def scenario(server, port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: [::1]\r\n\r\n")
            while not ended:
                await asyncio.sleep(0.02)

    serving(handler, scenario)


def test_stalling_clients_are_let_go(monkeypatch):
    monkeypatch.setattr(deadlines, "HEAD_WITHIN_S", 0.2)
    monkeypatch.setattr(deadlines, "BODY_STALLS_S", 0.2)
    monkeypatch.setattr(server_module, "_SWEEP_EVERY_S", 0.05)

    async def handler(request):
        await request.body(1000)

    async def scenario(server, port):
        for sent in (b"", b"POST / HTTP/1.1\r\nx-slow: ", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nab"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert await reader.read() == b""
            writer.close()
        assert not server.connections

    serving(handler, scenario)


def test_a_body_that_never_ends_is_let_go_however_steadily_it_comes(monkeypatch):
    monkeypatch.setattr(deadlines, "BODY_WITHIN_S", 0.3)
    monkeypatch.setattr(server_module, "_SWEEP_EVERY_S", 0.05)

    async def handler(request):
        await request.body(1 << 20)

    async def scenario(server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        sent = 0
        # It ends the connection, or resets it where it had not read all that came.
        while not (reader.at_eof() or reader.exception()) and sent < 500:
            writer.write(b"x")
            sent += 1
            await asyncio.sleep(0.02)
        assert sent < 500
        writer.close()
        assert server.memory.used_bytes == 0

    serving(handler, scenario)


def test_a_request_with_two_hosts_is_refused(shared):
    with raw(shared) as client, client.makefile("rb") as file:
        client.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n")
        status, _, body = read_answer(file)
    assert (status, body) == (400, b"a request has one Host header")


def test_thousands_of_requests_sent_ahead_end_the_connection(shared, upstream):
    with raw(shared) as client, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(ask() + b"GET /health HTTP/1.1\r\n\r\n" * 2000)
        while client.recv(65_536):
            pass
    with raw(shared) as client, client.makefile("rb") as file:
        client.sendall(ask())
        assert read_answer(file)[0] == 200


def test_heads_without_end_find_no_room_where_many_have_it():
    async def handler(request):
        request.respond(200, [], b"")

    async def scenario(server, port):
        server.memory.limit_bytes = 2 * connection.HEAD_BYTES_MAX
        held = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000)
            held.append((reader, writer))
        assert b" 503 " in await held[2][0].readline()
        for _, writer in held:
            writer.transport.abort()
        while server.connections:
            await asyncio.sleep(0.01)
        assert server.memory.used_bytes == 0

    serving(handler, scenario)
