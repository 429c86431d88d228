"""The client of plain endpoints, before a server that says exactly what a test tells it to."""

import asyncio
import contextlib

import pytest

from freehold.gateway.http.plain_client import Address, PlainClient
from freehold.gateway.http.response import ConnectError, ReadTimeout, RemoteProtocolError
from freehold.gateway.http.upstreams import plain_address
from freehold.gateway.serve import free_port

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Script:
    """A server: the answers of each connection in turn, then a close. `None` closes without an answer."""

    def __init__(self, *connections):
        self.connections = list(connections)
        self.accepted = 0
        self._tasks = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = Address(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader, writer):
        self._tasks.append(asyncio.current_task())
        answers = self.connections[self.accepted]
        self.accepted += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for answer in answers:
                await reader.readexactly(len(HEAD) + 2)
                if answer is None:
                    break
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    writer.write(piece)
                    await asyncio.sleep(0.02)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def run(scenario, *connections, **settings):
    async def main():
        client = PlainClient(**{"connect_timeout_s": 1, "read_timeout_s": 5, **settings})
        async with Script(*connections) as server:
            try:
                return await asyncio.wait_for(scenario(client, server), 10)
            finally:
                await client.close()

    return asyncio.run(main())


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
    ],
)
def test_half_answers_and_no_answers_are_told_apart_from_whole_ones(answer):
    with pytest.raises(RemoteProtocolError):
        run(bodies, [answer])


def test_chunks_come_as_they_were_cut_and_none_waits_for_another():
    async def scenario(client, server):
        answer = await client.send(server.address, HEAD, b"{}")
        return [await answer.read(), await answer.read(), await answer.read()]

    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = [head + b"1\r\na\r\n1\r\nb\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"]
    assert run(scenario, [pieces]) == [[b"a", b"b"], [b"c"], []]


class Bucket:
    """A sink that is full for a moment after each `full_after` bytes, and wants no more after `most` chunks."""

    def __init__(self, full_after=10**9, most=10**9, fails=False):
        self.full_after, self.most, self.fails = full_after, most, fails
        self.chunks, self.waits, self.is_full = [], 0, False

    def write(self, chunks):
        if self.fails:
            raise LookupError("no address")
        self.chunks += chunks
        self.is_full = sum(map(len, self.chunks)) >= self.full_after * (self.waits + 1)
        return len(self.chunks) < self.most

    async def drain(self):
        self.waits += 1
        await asyncio.sleep(0.03)
        self.is_full = False


STREAMED = [
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n",
    b"1\r\nc\r\n",
    b"1\r\nd\r\n0\r\n\r\n",
]


def relayed(bucket, *connections):
    async def scenario(client, server):
        answer = await client.send(server.address, HEAD, b"{}")
        try:
            await answer.relay(bucket)
        finally:
            await answer.close()

    run(scenario, *connections)
    return bucket


def test_a_relay_hands_on_every_chunk_once():
    assert relayed(Bucket(), [STREAMED]).chunks == [b"a", b"b", b"c", b"d"]


def test_a_full_sink_is_waited_for_and_loses_nothing():
    bucket = relayed(Bucket(full_after=1), [STREAMED])
    assert bucket.chunks == [b"a", b"b", b"c", b"d"] and bucket.waits >= 2


def test_a_sink_that_wants_no_more_ends_the_relay():
    assert relayed(Bucket(most=3), [STREAMED]).chunks == [b"a", b"b", b"c"]


def test_what_a_sink_raises_comes_out_of_the_relay():
    with pytest.raises(LookupError, match="no address"):
        relayed(Bucket(fails=True), [STREAMED])


def test_a_relay_that_is_cut_says_so_after_what_came():
    bucket = Bucket()
    with pytest.raises(RemoteProtocolError):
        relayed(bucket, [STREAMED[:2]])
    assert bucket.chunks == [b"a", b"b", b"c"]


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


def test_what_needs_more_than_a_plain_connection(monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    assert plain_address("http://127.0.0.1:8000/v1") == ("127.0.0.1", 8000)
    assert plain_address("http://[::1]:8000") == ("::1", 8000)
    assert plain_address("http://engine") == ("engine", 80)
    assert plain_address("https://api.example.com") is None
    assert plain_address("http://me:secret@engine:8000") is None
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert plain_address("http://engine:8000") is None
    assert plain_address("http://127.0.0.1:8000") == ("127.0.0.1", 8000)
