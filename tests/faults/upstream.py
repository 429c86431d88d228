"""What an upstream may do to a gateway: answer, hang, break off, send garbage, or send slowly.

Each is an `answer` of a `FakeUpstream`. An answer's kind (whole or streamed) follows the request.
"""

import asyncio
import json

from aiohttp import web
from tests.gateway.loopback import ANSWER, plain, stream, stream_of

EVENTS = stream_of("on", " its", " way")


def healthy(seen):
    return stream(EVENTS) if seen.json.get("stream") else plain(ANSWER)


def hanging(seen):
    """Takes the request and never answers."""

    async def respond(request):
        await asyncio.sleep(3600)

    return respond


def reset(seen):
    """Breaks the connection before a byte of an answer."""

    async def respond(request):
        request.transport.abort()
        raise ConnectionResetError

    return respond


def cut(seen):
    """Breaks the connection in the middle of an answer."""
    if seen.json.get("stream"):
        return stream(EVENTS[:2], cut=True)

    async def respond(request):
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "5000"})
        await response.prepare(request)
        await response.write(json.dumps(ANSWER).encode()[:40])
        request.transport.abort()
        raise ConnectionResetError

    return respond


def garbage(random):
    """Bytes that are not HTTP, drawn for each answer."""

    def answer(seen):
        data = random.randbytes(random.randrange(1, 4000))

        async def respond(request):
            request.transport.write(data)
            await asyncio.sleep(0.01)
            request.transport.abort()
            raise ConnectionResetError

        return respond

    return answer


def dripping(seen):
    """A good answer in twenty pieces, with a pause after each."""
    streamed = seen.json.get("stream")
    data = b"".join(EVENTS) if streamed else json.dumps(ANSWER).encode()
    size = len(data) // 20 + 1

    async def respond(request):
        kind = "text/event-stream" if streamed else "application/json"
        response = web.StreamResponse(headers={"content-type": kind})
        await response.prepare(request)
        for at in range(0, len(data), size):
            await response.write(data[at : at + size])
            await asyncio.sleep(0.05)
        await response.write_eof()
        return response

    return respond
