"""A response that arrives over a plain connection and is handed on to a sink."""

import asyncio

import pytest
from tests.gateway.http.scripted import HEAD, run

from freehold.gateway.http.buffered_response import BufferedResponse
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.response import RemoteProtocolError


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


class Transport:
    """A connection that says whether it was asked to read on."""

    def __init__(self):
        self.resumed = 0

    def resume_reading(self):
        self.resumed += 1

    def abort(self):
        return


@pytest.mark.parametrize("ends", [False, True])
def test_a_sink_that_is_full_for_less_than_a_turn_of_the_loop_loses_and_stops_nothing(ends):
    async def scenario():
        transport, bucket = Transport(), Bucket()
        response = BufferedResponse(transport, MemoryBudget())
        relaying = asyncio.create_task(response.relay(bucket))
        await asyncio.sleep(0)
        bucket.is_full = True
        response.feed_data(b"x" * 300_000)
        if ends:
            response.feed_eof()
        response.deliver()
        assert response.is_full and bucket.chunks == []
        bucket.is_full = False  # before the task that relays has its turn
        for _ in range(3):
            await asyncio.sleep(0)
        assert bucket.chunks == [b"x" * 300_000] and not response.is_full
        if not ends:
            assert transport.resumed == 1
            response.feed_eof()
            response.wake()
        await asyncio.wait_for(relaying, 1)

    asyncio.run(scenario())


def test_a_body_that_was_long_before_the_relay_began_is_read_to_its_end():
    async def scenario():
        transport, bucket = Transport(), Bucket()
        response = BufferedResponse(transport, MemoryBudget())
        response.feed_data(b"x" * 300_000)
        response.deliver()
        assert response.is_full, "its connection stops reading now"
        relaying = asyncio.create_task(response.relay(bucket))
        await asyncio.sleep(0)
        assert bucket.chunks == [b"x" * 300_000] and transport.resumed == 1
        response.feed_eof()
        response.wake()
        await asyncio.wait_for(relaying, 1)

    asyncio.run(scenario())
