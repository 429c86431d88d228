import asyncio

import msgspec
from tests.gateway.caching.test_kept_answers import answer

from freehold.gateway.caching.replayed import ReplayedResponse
from freehold.gateway.http.memory import MemoryBudget


def test_a_plain_answer_comes_whole():
    async def read():
        response = ReplayedResponse(answer(b'{"a":1}'), MemoryBudget(), age_s=7)
        await response.wait_for_body()
        try:
            return dict(response.headers), await response.read_all()
        finally:
            await response.close()

    headers, body = asyncio.run(read())
    assert body == b'{"a":1}' and headers["content-length"] == "7"
    assert (headers["x-freehold-cache"], headers["age"]) == ("hit", "7")


def test_a_stream_comes_in_its_chunks_and_says_how_it_is_packed():
    streamed = msgspec.structs.replace(
        answer(), content_type="text/event-stream", content_encoding="gzip", chunks=(b"a", b"b")
    )

    async def read():
        response = ReplayedResponse(streamed, MemoryBudget(), age_s=0)
        return response, await response.read(), await response.read()

    response, first, rest = asyncio.run(read())
    assert first == [b"a", b"b"] and rest == [] and response.is_stream
    assert response.header("content-encoding") == "gzip" and response.header("content-length") is None
