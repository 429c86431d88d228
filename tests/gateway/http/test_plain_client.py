"""The client of plain endpoints, before a server that says exactly what a test tells it to."""

import asyncio
import contextlib

import pytest
from tests.gateway.http.scripted import HEAD, run

from freehold.gateway.http.plain_client import Address
from freehold.gateway.http.response import ConnectError, ReadTimeout, RemoteProtocolError
from freehold.gateway.serve import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def bodies(client, server, count=1):
    found = []
    for _ in range(count):
        answer = await client.send(server.address, HEAD, b"{}")
        found.append(await answer.read_all())
        await answer.close()
    return found, server.accepted


def test_a_connection_is_used_again():
    assert run(lambda *both: bodies(*both, count=3), [OK, OK, OK]) == ([b"ok"] * 3, 1)


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_without_a_word():
    assert run(lambda *both: bodies(*both, count=2), [OK, None], [OK]) == ([b"ok"] * 2, 2)


def test_a_fresh_connection_that_closes_is_a_failure():
    with pytest.raises(RemoteProtocolError):
        run(bodies, [None], [OK])


def test_a_server_that_says_close_is_believed():
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert run(lambda *both: bodies(*both, count=2), [closing, OK], [closing]) == ([b"ok"] * 2, 2)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ([OK[:9], OK[9:30], OK[30:]], b"ok"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx: y\r\n\r\n",
            b"abcde",
        ),
    ],
)
def test_kinds_of_answers(answer, body):
    assert run(bodies, [answer])[0] == [body]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 400_000,
        b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
def test_half_answers_and_no_answers_are_told_apart_from_whole_ones(answer):
    with pytest.raises(RemoteProtocolError):
        run(bodies, [answer])


@pytest.mark.parametrize("surplus", [OK, OK[:-1], OK[:-1].replace(b": 2", b": 9"), b"H", b"\0"])
def test_what_comes_behind_an_answer_never_becomes_the_next_ones(surplus):
    assert run(lambda *both: bodies(*both, count=2), [OK + surplus], [OK]) == ([b"ok"] * 2, 2)


def test_an_answer_is_had_although_more_comes_behind_its_end():
    """The parser stops at what follows an answer after which the connection closes; the request waited for ever."""
    closing = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert run(bodies, [closing + b"more"]) == ([b"ok"], 1)


def test_trailers_are_not_taken_for_headers():
    async def scenario(client, server):
        answer = await client.send(server.address, HEAD, b"{}")
        return await answer.read_all(), answer.headers

    head = b"HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n"
    body, headers = run(scenario, [head + b"2\r\nok\r\n0\r\ncontent-type: text/event-stream\r\n\r\n"])
    assert body == b"ok" and headers == [("x", "y"), ("transfer-encoding", "chunked")]


def test_chunks_come_as_they_were_cut_and_none_waits_for_another():
    async def scenario(client, server):
        answer = await client.send(server.address, HEAD, b"{}")
        return [await answer.read(), await answer.read(), await answer.read()]

    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = [head + b"1\r\na\r\n1\r\nb\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"]
    assert run(scenario, [pieces]) == [[b"a", b"b"], [b"c"], []]


def test_silence_is_a_time_out():
    async def scenario(client, server):
        async def silent(reader, writer):
            with contextlib.suppress(OSError):
                await reader.read()
            writer.close()

        quiet = await asyncio.start_server(silent, "127.0.0.1", 0)
        with pytest.raises(ReadTimeout):
            await client.send(Address(*quiet.sockets[0].getsockname()), HEAD, b"{}")
        quiet.close()
        await asyncio.sleep(0.05)

    run(scenario, read_timeout_s=0.2)


def test_nobody_there_is_unreachable():
    with pytest.raises(ConnectError):
        run(lambda client, server: client.send(Address("127.0.0.1", free_port()), HEAD, b"{}"))
