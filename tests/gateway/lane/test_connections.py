"""What holds for a connection on the short way: clients that leave or stall, drains, memory."""

import asyncio
import contextlib
import socket

import pytest
from tests.gateway.lane.both_ways import CHAT, Upstream, ask, config, whole

from freehold.gateway import deadlines
from freehold.gateway.lane.client import LaneConnection
from freehold.gateway.limits.keys import KeyRing
from freehold.gateway.worker import running, serving


@contextlib.asynccontextmanager
async def warm(tmp_path, *answers, **changes):
    """A worker that knows the heads: app, server, and a client's reader and writer."""
    upstream = Upstream([whole()] * 3 + list(answers))
    asked = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    set_up = config(asked.sockets[0].getsockname()[1], tmp_path, **changes)
    async with running(set_up, tmp_path) as app:
        app.state.keys = KeyRing(set_up.api_keys, required=True)
        listener = socket.create_server(("127.0.0.1", 0))
        server = serving(app)
        await server.listen(listener)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        for _ in range(3):
            writer.write(ask()[0])
            await answered(reader)
        yield app, server, reader, writer, upstream
        writer.close()
        await server.drain(0.1)
    asked.close()
    for one in upstream.writers:
        one.close()
    await asyncio.sleep(0.02)


async def answered(reader):
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    return head + await reader.readexactly(int(head.rpartition(b"content-length: ")[2].split()[0]))


def scenario(tmp_path, scene, *answers, **changes):
    async def main():
        async with warm(tmp_path, *answers, **changes) as given:
            await scene(*given)

    asyncio.run(main())


def test_a_client_that_leaves_takes_its_request_from_the_endpoint(tmp_path):
    async def scene(app, server, reader, writer, upstream):
        writer.write(ask()[0])
        await asyncio.sleep(0.05)
        assert app.state.meters.in_flight == 1 and app.state.memory.used_bytes > 0
        writer.close()
        await asyncio.sleep(0.05)
        assert app.state.meters.in_flight == app.state.memory.used_bytes == 0
        assert app.state.meters.counters["freehold_client_aborts", ("support",)] == 1
        with pytest.raises(ConnectionError):
            upstream.writers[-1].write(b"x")
            await asyncio.sleep(0.02)
            upstream.writers[-1].write(b"x")
            await upstream.writers[-1].drain()

    scenario(tmp_path, scene, [0.3, *whole()])


def test_an_answer_during_a_drain_is_the_last_of_its_connection(tmp_path):
    async def scene(app, server, reader, writer, upstream):
        writer.write(ask()[0])
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(server.drain(3))
        assert b"\r\nconnection: close\r\n" in await answered(reader)
        assert await reader.read() == b""
        await draining

    scenario(tmp_path, scene, [0.2, *whole()])


def test_what_is_under_way_is_not_closed_as_quiet(tmp_path):
    async def scene(app, server, reader, writer, upstream):
        (connection,) = server.connections
        assert isinstance(connection, LaneConnection) and connection.is_between_requests
        head, body = ask(apart=True)
        writer.write(head)
        await asyncio.sleep(0.02)
        assert not connection.is_between_requests
        connection.stop(also_fresh=True)
        now = server.loop.time()
        assert not connection.is_overdue(now)
        assert connection.is_overdue(now + deadlines.BODY_STALLS_S + 1)
        writer.write(body)
        await asyncio.sleep(0.05)
        assert not connection.is_between_requests and connection.runs_since(server.loop.time())
        connection.stop(also_fresh=True)
        assert (await answered(reader)).startswith(b"HTTP/1.1 200")
        assert connection.is_between_requests and not connection.is_overdue(now)
        assert connection.is_overdue(server.loop.time() + deadlines.IDLE_S + 1)

    scenario(tmp_path, scene, [0.1, *whole()])


def test_without_room_for_its_body_a_request_is_refused_by_the_long_way(tmp_path):
    async def scene(app, server, reader, writer, upstream):
        app.state.memory.limit_bytes = 10
        writer.write(ask()[0])
        assert b" 503 " in await answered(reader)
        assert app.state.memory.used_bytes == 0 and len(upstream.seen) == 3

    scenario(tmp_path, scene)


def test_a_candidate_that_keeps_failing_is_passed_over(tmp_path):
    async def scene(app, server, reader, writer, upstream):
        for _ in range(9):
            app.state.breaker("engine").record_failure(server.loop.time(), key=None, reached=False)
        writer.write(ask({**CHAT, "model": "promoted"})[0])
        assert b"x-freehold-arm: incumbent" in await answered(reader)

    scenario(tmp_path, scene)


def test_a_revoked_key_ends_what_it_began(tmp_path):
    async def scene(app, server, reader, writer, upstream):
        writer.write(ask()[0])
        await asyncio.sleep(0.05)
        app.state.keys = KeyRing((), required=True)
        app.state.on_revoked()
        assert await reader.read() == b"" and app.state.memory.used_bytes == 0

    scenario(tmp_path, scene, [0.5, *whole()])


def test_heads_that_differ_each_time_take_no_more_than_their_room(tmp_path):
    async def scene(app, server, reader, writer, upstream):
        (connection,) = server.connections
        for number in range(600):
            writer.write(ask(more=f"x-number: {number}\r\nx-long: {'x' * 1000}\r\n")[0])
            await answered(reader)
        assert sum(map(len, connection._heads._known)) < 300_000

    scenario(tmp_path, scene)
