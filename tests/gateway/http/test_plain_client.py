"""The client of plain endpoints, before a server that says exactly what a test tells it to."""

import pytest
from tests.gateway.http.scripted import HEAD, run

from freehold.gateway.http.response import RemoteProtocolError

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
