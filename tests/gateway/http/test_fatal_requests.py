"""What workers know of requests that end engines: counted once a death, shared, bounded, forgotten."""

import asyncio
import time

import pytest

from freehold.gateway.http.fatal_requests import KNOWN_MAX, FatalRequests, has_died
from freehold.gateway.http.response import ConnectError, ReadTimeout, RemoteProtocolError


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def shared(tmp_path):
    both = FatalRequests(tmp_path), FatalRequests(tmp_path)
    yield both
    for one in both:
        one.close()


pytestmark = pytest.mark.anyio


async def died(fatal, body, endpoint="e"):
    return await fatal.add(endpoint, body, sent_s=time.monotonic())


async def test_workers_share_what_they_know(shared):
    one, other = shared
    assert await died(one, b"x") == 1
    assert await other.deaths("e", b"x") == 1
    assert await died(other, b"x") == 2
    assert await one.deaths("e", b"x") == 2
    assert [await one.deaths("e", b"y"), await one.deaths("another", b"x")] == [0, 0]
    await one.clear("e", b"x")
    assert await other.deaths("e", b"x") == 0


async def test_copies_under_way_at_one_death_count_once(shared):
    one, other = shared
    sent = time.monotonic()
    for fatal in (one, other, one):
        assert await fatal.add("e", b"x", sent_s=sent) == 1


async def test_the_oldest_makes_room(shared):
    for number in range(KNOWN_MAX + 1):
        await died(shared[0], b"%d" % number)
    assert [await shared[1].deaths("e", b"%d" % number) for number in (0, 1, KNOWN_MAX)] == [0, 1, 1]


async def test_suspects_are_asked_one_at_a_time_by_all_workers(shared):
    running, most = 0, 0

    async def suspect(fatal):
        nonlocal running, most
        async with fatal.alone("e"):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.02)
            running -= 1

    await asyncio.gather(*(suspect(fatal) for fatal in shared * 3))
    assert most == 1


async def test_no_words_of_clients_are_kept(tmp_path, shared):
    await died(shared[0], b"a secret of mine")
    assert b"secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


async def test_an_endpoint_is_dead_where_nothing_listens_any_more():
    async def listen(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert not await has_died("127.0.0.1", port, RemoteProtocolError("the connection ended"))
    assert not await has_died("127.0.0.1", port, ReadTimeout("nothing came"))
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)
    assert await has_died("127.0.0.1", port, RemoteProtocolError("the connection ended"))
    refused = ConnectError("refused")
    assert not await has_died("127.0.0.1", port, refused), "the request was never sent"
    refused.after_break = True
    assert await has_died("127.0.0.1", port, refused)
