"""The clients' side, on a raw socket: what only misbehaving or unusual clients show."""

import asyncio
import threading

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.http.sockets import serving
from tests.gateway.loopback import ANSWER, eventually, gateway, plain

pytestmark = pytest.mark.process


def test_a_drain_answers_who_has_just_connected_and_ends_who_says_nothing():
    async def handler(request):
        request.respond(200, [], b"done")

    async def scenario(server, port):
        fresh, writer = await asyncio.open_connection("127.0.0.1", port)
        silent, other = await asyncio.open_connection("127.0.0.1", port)
        while len(server.connections) < 2:
            await asyncio.sleep(0.01)
        draining = asyncio.create_task(server.drain(10))
        await asyncio.sleep(0.1)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = await fresh.read()
        assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer
        assert await silent.read() == b""
        await draining
        writer.close()
        other.close()

    serving(handler, scenario)


@pytest.mark.parametrize("workers", [2])
def test_what_waits_when_a_worker_dies_the_others_serve(upstream, tmp_path, workers):
    upstream.answer = lambda seen: plain(ANSWER, delay=0.1)
    with gateway(upstream, tmp_path, workers=workers, capture="off") as running:
        outcomes = []
        asking = [
            threading.Thread(target=lambda: outcomes.append(post(running, QUESTION)[0])) for _ in range(20)
        ]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        assert outcomes == [200] * 20
        eventually(lambda: len(upstream.seen) == 20)
