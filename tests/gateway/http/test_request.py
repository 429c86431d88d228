"""A request's body, and the response to it."""

import asyncio

from tests.gateway.http.sockets import raw, serving


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
