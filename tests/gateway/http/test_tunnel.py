"""An endpoint's answers to the offer of a WebSocket, from a server that says exactly what a test tells it to."""

import asyncio
import contextlib

import pytest

from freehold.gateway.http.response import ConnectError, ReadTimeout, RemoteProtocolError
from freehold.gateway.http.tunnel import dig

HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def dug(answer, *, within_s=5.0):
    over = []

    async def serve(reader, writer):
        over.append(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readexactly(len(HEAD))
            if answer is None:
                await reader.read()
            writer.write(answer or b"")
            await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            tunnel = await dig(f"http://127.0.0.1:{port}", HEAD, within_s=within_s)
            tunnel.close()
            return tunnel
        finally:
            server.close()
            await asyncio.gather(*over)

    return asyncio.run(main())


def test_an_offer_that_is_accepted():
    tunnel = dug(b"HTTP/1.1 101 Ok\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-a: b\r\n\r\n\x81\x01a")
    assert tunnel.status == 101 and ("x-a", "b") in tunnel.headers
    assert tunnel._early == b"\x81\x01a"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno", 404, b"no"),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", 401, b""),
    ],
)
def test_an_offer_that_is_declined(answer, status, body):
    tunnel = dug(answer)
    assert (tunnel.status, tunnel.body) == (status, body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n\x81\x01a",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"[:20],
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 400_000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_what_is_no_answer(answer):
    with pytest.raises(RemoteProtocolError):
        dug(answer)


def test_an_answer_that_does_not_come():
    with pytest.raises(ReadTimeout):
        dug(None, within_s=0.2)
    with pytest.raises(ConnectError):
        asyncio.run(dig("http://127.0.0.1:9", HEAD, within_s=1))
