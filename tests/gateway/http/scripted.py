"""A server on loopback that says exactly what a test tells it to."""

import asyncio
import contextlib

from freehold.gateway.http.upstream_client import Address, UpstreamClient

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"


class Script:
    """A server: the answers of each connection in turn, then a close. `None` closes without an answer."""

    def __init__(self, *connections):
        self.connections = list(connections)
        self.accepted = 0
        self._tasks = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = Address(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader, writer):
        self._tasks.append(asyncio.current_task())
        answers = self.connections[self.accepted]
        self.accepted += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for answer in answers:
                await reader.readexactly(len(HEAD) + 2)
                if answer is None:
                    break
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    writer.write(piece)
                    await asyncio.sleep(0.02)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def run(scenario, *connections, **settings):
    async def main():
        client = UpstreamClient(**{"connect_timeout_s": 1, "read_timeout_s": 5, **settings})
        async with Script(*connections) as server:
            try:
                return await asyncio.wait_for(scenario(client, server), 10)
            finally:
                await client.close()

    return asyncio.run(main())
