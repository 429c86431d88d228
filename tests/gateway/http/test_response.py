"""What every response of an endpoint can do, whichever client fetched it."""

import asyncio

import pytest

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.response import (
    ConnectError,
    ReadTimeout,
    RemoteProtocolError,
    TransportError,
    UpstreamResponse,
)


class Scripted(UpstreamResponse):
    """A response that reads what a test says; an exception is raised."""

    def __init__(self, *reads, headers=()):
        super().__init__(MemoryBudget(4_000_000))
        self.status, self.headers = 200, list(headers)
        self.reads = list(reads)

    async def wait_for_body(self):
        return

    @property
    def beginning(self):
        return self.reads[0][0]

    async def read(self):
        chunks = self.reads.pop(0) if self.reads else []
        if isinstance(chunks, Exception):
            raise chunks
        return chunks

    async def close(self):
        return


class Sink:
    def __init__(self, most=99, full=False):
        self.chunks, self.most, self.is_full, self.drains = [], most, full, 0

    def write(self, chunks):
        self.chunks += chunks
        return len(self.chunks) < self.most

    async def drain(self):
        self.drains += 1


def test_a_header_is_its_first_value():
    response = Scripted(
        headers=[("a", "1"), ("a", "2"), ("content-type", "text/event-stream; charset=utf-8")]
    )
    assert response.header("a") == "1" and response.header("b") is None
    assert response.is_stream and not Scripted(headers=[("content-type", "application/json")]).is_stream
    assert not Scripted().is_stream


def test_a_body_is_read_to_its_end():
    assert asyncio.run(Scripted([b"a", b"b"], [b"c"]).read_all()) == b"abc"
    assert asyncio.run(Scripted([b"a"]).read_all()) == b"a"
    assert asyncio.run(Scripted().read_all()) == b""


def test_a_relay_hands_on_all_chunks_and_waits_for_a_full_sink():
    sink = Sink(full=True)
    asyncio.run(Scripted([b"a", b"b"], [b"c"]).relay(sink))
    assert sink.chunks == [b"a", b"b", b"c"] and sink.drains == 2


def test_a_relay_ends_when_the_sink_wants_no_more():
    response, sink = Scripted([b"a"], [b"b"], [b"c"]), Sink(most=2)
    asyncio.run(response.relay(sink))
    assert sink.chunks == [b"a", b"b"] and response.reads == [[b"c"]]


def test_a_failure_comes_after_what_was_read():
    sink = Sink()
    with pytest.raises(ReadTimeout):
        asyncio.run(Scripted([b"a"], ReadTimeout("x")).relay(sink))
    assert sink.chunks == [b"a"]
    assert all(issubclass(kind, TransportError) for kind in (ConnectError, ReadTimeout, RemoteProtocolError))


@pytest.mark.parametrize(("headers", "most"), [((), 3), ([("content-length", "4")], 3)])
def test_a_body_that_is_too_long_is_not_read_to_its_end(headers, most):
    response = Scripted([b"ab"], [b"cd"], [b"ef"], headers=headers)
    assert asyncio.run(response.read_short(most)) is None
    assert len(response.reads) == (3 if headers else 1)


def test_a_short_body_is_read_whole():
    assert asyncio.run(Scripted([b"ab"], [b"c"]).read_short(3)) == b"abc"
