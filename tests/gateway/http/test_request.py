"""A request's body, and the response to it."""

import asyncio

import pytest
from tests.gateway.http.sockets import raw, serving

from freehold.gateway.http.request import ClientDisconnect

pytestmark = pytest.mark.process


def test_head_has_a_length_and_no_body(shared):
    with raw(shared) as client:
        client.sendall(b"HEAD /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200") and b"content-length: 15" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_body_nobody_asked_for_does_not_pile_up():
    kept = []

    async def handler(request):
        await asyncio.sleep(0.5)
        kept.append(sum(map(len, request._body)))
        if request.path == "/wanted":
            kept.append(len(await request.body(1 << 30)))
        request.respond(200, [], b"done")

    async def scenario(server, port):
        for path in (b"/unwanted", b"/wanted"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST %b HTTP/1.1\r\ncontent-length: 20000000\r\n\r\n" % path + b"x" * 20_000_000)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.transport.abort()

    serving(handler, scenario)
    assert kept[0] < 1_000_000 and kept[1] < 1_000_000 and kept[2] == 20_000_000


def test_a_body_that_is_passed_on_takes_as_much_room_as_its_pieces():
    came, most = 0, 0

    async def handler(request):
        nonlocal came, most
        while pieces := await request.read_pieces():
            came += sum(map(len, pieces))
            most = max(most, request.transport.server.memory.used_bytes)
            await asyncio.sleep(0.001)
        request.respond(200, [], str(came).encode())

    async def scenario(server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        size = 20 << 20
        writer.write(
            b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % size
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for _ in range(20):
            writer.write(bytes(1 << 20))
            await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and b"close" not in answer
        assert await reader.readexactly(8) == str(size).encode()
        assert came == size and 0 < most < 2 << 20 and server.memory.used_bytes == 0
        writer.close()

    serving(handler, scenario)


def test_a_client_that_leaves_a_body_that_is_passed_on_is_noticed():
    told = []

    async def handler(request):
        try:
            while await request.read_pieces():
                pass
        except ClientDisconnect:
            told.append("left")

    async def scenario(server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        writer.close()
        while not told:
            await asyncio.sleep(0.01)
        assert server.memory.used_bytes == 0

    serving(handler, scenario)
