"""Connections on their way from one worker to another, in one process: two servers on one pair of sockets."""

import asyncio
import socket

import pytest

from freehold.gateway import deadlines
from freehold.gateway.deadlines import HEAD_WITHIN_S, IDLE_S
from freehold.gateway.http import handover, server
from freehold.gateway.http.handover import Handover, open_pair
from freehold.gateway.http.server import HttpServer

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def asking_for(pause_s):
    """A request whose answer takes so long."""
    return b"GET /?%g HTTP/1.1\r\nhost: x\r\n\r\n" % pause_s


def named(name, pause_s=0.0):
    async def handler(request):
        await asyncio.sleep(float(request.query_string or pause_s))
        request.respond(200, [("x-name", name)], b"done")

    return handler


def ends(pair):
    return Handover(*(one.dup() for one in pair))


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    return head, await reader.readexactly(4)


def played(scenario, *, old_pause_s=0.0, has_pair=True):
    """A scenario with an old server that clients reach, the new one, and the old one's port."""

    async def main():
        pair = open_pair() if has_pair else None
        first, second = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        old, new = HttpServer(named("old", old_pause_s)), HttpServer(named("new"))
        await old.listen(first, None, None if pair is None else ends(pair))
        await new.listen(second, None, None if pair is None else ends(pair))
        port = first.getsockname()[1]
        for one in pair or ():
            one.close()
        await asyncio.wait_for(scenario(old, new, port), 20)
        await old.drain(0.1)
        await new.drain(0.1)

    asyncio.run(main())


def test_a_quiet_connection_goes_on_with_the_other_server():
    async def scenario(old, new, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert b"x-name: old" in (await answer(reader))[0]
        await old.leave(5, asyncio.Event())
        assert not old.connections
        for _ in range(2):
            writer.write(REQUEST)
            head, _ = await answer(reader)
            assert b"x-name: new" in head and b"connection: close" not in head
        writer.close()

    played(scenario)


def test_what_runs_ends_where_it_began_and_only_then_moves():
    async def scenario(old, new, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        while not any(one.current for one in old.connections):
            await asyncio.sleep(0.01)
        leaving = asyncio.create_task(old.leave(5, asyncio.Event()))
        head, _ = await answer(reader)
        assert b"x-name: old" in head and b"connection: close" not in head
        writer.write(REQUEST)
        assert b"x-name: new" in (await answer(reader))[0]
        await leaving
        writer.close()

    played(scenario, old_pause_s=0.3)


def test_without_a_way_to_hand_over_the_next_answer_says_that_it_is_the_last():
    """As over TLS: nothing is closed while its client may be sending."""

    async def scenario(old, new, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await answer(reader)
        leaving = asyncio.create_task(old.leave(5, asyncio.Event()))
        await asyncio.sleep(0.3)
        writer.write(REQUEST)
        head, _ = await answer(reader)
        assert b"x-name: old" in head and b"connection: close" in head
        assert await reader.read() == b""
        await leaving
        writer.close()

    played(scenario, has_pair=False)


def test_a_silent_client_whose_connection_cannot_be_given_away_loses_no_request():
    """Once closed when answers under way had had their time: a request that was sent in that moment was lost."""

    async def scenario(old, new, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await answer(reader)
        leaving = asyncio.create_task(old.leave(0.2, asyncio.Event()))
        await asyncio.sleep(1.0)
        writer.write(REQUEST)
        head, _ = await answer(reader)
        assert b"x-name: old" in head and b"connection: close" in head
        await leaving
        assert not old.connections
        writer.close()

    played(scenario, has_pair=False)


def test_a_silent_client_is_waited_for_as_long_as_any(monkeypatch):
    monkeypatch.setattr(deadlines, "IDLE_S", 0.5)

    async def scenario(old, new, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await answer(reader)
        await old.leave(0.1, asyncio.Event())
        assert not old.connections and await reader.read() == b""
        writer.close()

    played(scenario, has_pair=False)


def test_a_request_that_comes_late_has_its_own_time_and_one_that_ran_before_is_cut():
    async def scenario(old, new, port):
        late, late_writer = await asyncio.open_connection("127.0.0.1", port)
        late_writer.write(REQUEST)
        await answer(late)
        long, long_writer = await asyncio.open_connection("127.0.0.1", port)
        long_writer.write(asking_for(19.0))
        while not any(one.current for one in old.connections):
            await asyncio.sleep(0.01)
        began = old.loop.time()
        leaving = asyncio.create_task(old.leave(3.0, asyncio.Event()))
        await asyncio.sleep(1.5)
        late_writer.write(asking_for(2.0))
        assert await long.read() == b""
        assert old.loop.time() - began < 12
        assert b"x-name: old" in (await answer(late))[0]
        await leaving
        for writer in (late_writer, long_writer):
            writer.close()

    played(scenario, has_pair=False)


def test_what_was_accepted_in_the_moment_of_leaving_is_waited_for():
    """It is among the open ones from the loop's next turn on: the worker ended, and its first request was lost."""

    async def scenario(old, new, port):
        connecting = asyncio.create_task(asyncio.open_connection("127.0.0.1", port))
        while not old.opening:
            assert not old.connections
            await asyncio.sleep(0)
        await old.leave(5, asyncio.Event())
        reader, writer = await connecting
        await asyncio.sleep(0.1)
        assert not old.connections and len(new.connections) == 1
        writer.write(REQUEST)
        assert b"x-name: new" in (await answer(reader))[0]
        writer.close()

    played(scenario)


def test_where_no_worker_takes_any_more_a_connection_is_closed_and_not_left_hanging():
    async def scenario(old, new, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await answer(reader)
        await new.drain(0.1)
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, stopping.set)
        await old.leave(5, stopping)
        assert old.connections, "it could not be given away"
        await old.drain(1)
        assert await reader.read() == b""
        writer.close()

    played(scenario)


def test_a_system_without_such_a_pair_has_none(monkeypatch):
    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr(handover.socket, "socketpair", refuse)
    assert open_pair() is None
    assert Handover.of_files([]) is None


@pytest.mark.parametrize("count", [300])
def test_many_at_once_all_arrive(count, monkeypatch):
    """More than the pair holds on its way."""
    monkeypatch.setattr(server, "_LOOK_EVERY_S", 0.005)

    async def scenario(old, new, port):
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
        for _, writer in clients:
            writer.write(REQUEST)
        for reader, _ in clients:
            await answer(reader)
        await old.leave(10, asyncio.Event())
        assert not old.connections
        for reader, writer in clients:
            writer.write(REQUEST)
            assert b"x-name: new" in (await answer(reader))[0]
            writer.close()

    played(scenario)


def test_a_connection_that_moved_may_be_as_silent_as_before():
    """Taken for a new one, it was closed after the time for a head: too soon for a balancer that keeps it a minute."""

    async def scenario(old, new, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await answer(reader)
        await old.leave(5, asyncio.Event())
        while not new.connections:
            await asyncio.sleep(0.01)
        (moved,) = new.connections
        now = new.loop.time()
        assert not moved.is_overdue(now + IDLE_S - 5) and moved.is_overdue(now + IDLE_S + 5)
        writer.write(REQUEST[:9])
        while not moved.is_overdue(new.loop.time() + HEAD_WITHIN_S + 1):
            await asyncio.sleep(0.01)
        writer.close()

    played(scenario)


def test_a_connection_that_was_never_used_is_a_new_one_for_the_other_server_too():
    """Waited for no longer than where it was accepted, and not closed at once in a drain: its request is on its way."""

    async def scenario(old, new, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not old.connections:
            await asyncio.sleep(0.01)
        await old.leave(5, asyncio.Event())
        while not new.connections:
            await asyncio.sleep(0.01)
        (moved,) = new.connections
        now = new.loop.time()
        assert not moved.is_overdue(now + HEAD_WITHIN_S - 5) and moved.is_overdue(now + HEAD_WITHIN_S + 1)
        moved.stop(also_fresh=False)
        writer.write(REQUEST)
        assert b"x-name: new" in (await answer(reader))[0]
        now = new.loop.time()
        assert not moved.is_overdue(now + IDLE_S - 5)
        writer.close()

    played(scenario)


def test_what_is_just_being_taken_over_goes_on_to_the_others_too():
    """A worker may be told to leave while it takes what another left."""

    async def scenario(old, new, port):
        client, taken = socket.socketpair()
        taken.setblocking(False)
        old._adopt(taken, True)
        await old.leave(5, asyncio.Event())
        reader, writer = await asyncio.open_connection(sock=client)
        writer.write(REQUEST)
        assert b"x-name: new" in (await answer(reader))[0]
        writer.close()

    played(scenario)


def test_a_file_that_does_not_arrive_ends_no_taking():
    """Where a process may open no more files, the message comes without one."""

    async def main():
        give, take = open_pair()
        handover, took = Handover(give, take), []
        handover.begin_to_take(asyncio.get_running_loop(), lambda taken, kept: took.append(taken))
        give.send(b"k")
        one, other = socket.socketpair()
        assert handover.give(one.fileno(), kept=True)
        while not took:
            await asyncio.sleep(0.01)
        handover.close()
        for end in (one, other, *took):
            end.close()

    asyncio.run(asyncio.wait_for(main(), 5))
