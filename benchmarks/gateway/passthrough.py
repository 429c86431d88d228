"""Bare pass-through proxies: each server with each upstream client, none of the product's work in them.

    python benchmarks/gateway/passthrough.py SERVER CLIENT PORT UPSTREAM

SERVER is granian-asgi, granian-rsgi, uvicorn, hypercorn or own (freehold.gateway.http.server); CLIENT is aiohttp,
httpx, pyreqwest or own (freehold.gateway.http.upstream_client). All of them forward the request's body and
stream the answer's back as it comes.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

# An open answer of any client: status, headers, chunks.
Opened = tuple[int, list[tuple[str, str]], Callable[[], Awaitable[bytes | None]]]
PASSED_ON = ("content-type", "x-request-id")


class Aiohttp:
    def __init__(self, upstream: str) -> None:
        import aiohttp

        self.url = upstream + "/v1/chat/completions"
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, skip_auto_headers=("User-Agent",)
        )

    @asynccontextmanager
    async def open(self, body: bytes) -> AsyncIterator[Opened]:
        async with self.session.post(
            self.url, data=body, headers={"content-type": "application/json"}
        ) as answer:
            headers = [(name, answer.headers[name]) for name in PASSED_ON if name in answer.headers]

            async def chunk() -> bytes | None:
                return await answer.content.readany() or None

            yield answer.status, headers, chunk


class Httpx:
    def __init__(self, upstream: str) -> None:
        import httpx

        self.url = upstream + "/v1/chat/completions"
        self.client = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=1000), timeout=60)

    @asynccontextmanager
    async def open(self, body: bytes) -> AsyncIterator[Opened]:
        async with self.client.stream(
            "POST", self.url, content=body, headers={"content-type": "application/json"}
        ) as answer:
            chunks = answer.aiter_raw()

            async def chunk() -> bytes | None:
                return await anext(chunks, None)

            headers = [(name, answer.headers[name]) for name in PASSED_ON if name in answer.headers]
            yield answer.status_code, headers, chunk


class Pyreqwest:
    def __init__(self, upstream: str) -> None:
        from pyreqwest.client import ClientBuilder
        from pyreqwest.http import Url

        self.url = Url(upstream + "/v1/chat/completions")
        self.client = (
            ClientBuilder()
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .pool_max_idle_per_host(1000)
            .timeout(timedelta(seconds=60))
            .build()
        )

    @asynccontextmanager
    async def open(self, body: bytes) -> AsyncIterator[Opened]:
        request = (
            self.client.post(self.url)
            .header("content-type", "application/json")
            .body_bytes(body)
            .streamed_read_buffer_limit(0)
            .build_streamed()
        )
        async with request as answer:
            headers = [(name, value) for name in PASSED_ON if (value := answer.get_header(name)) is not None]
            yield answer.status, headers, answer.body_reader.read_chunk


class Own:
    def __init__(self, upstream: str) -> None:
        from freehold.gateway.http.upstream_client import Address, UpstreamClient

        self.where = upstream.partition("://")[2]
        host, _, port = self.where.partition(":")
        self.address = Address(host, int(port))
        self.client: Any = None
        self.new_client = lambda: UpstreamClient(connect_timeout_s=5, read_timeout_s=60)

    @asynccontextmanager
    async def open(self, body: bytes) -> AsyncIterator[Opened]:
        if self.client is None:  # it belongs to the running loop
            self.client = self.new_client()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {self.where}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        answer = await self.client.send(self.address, head.encode(), body)

        async def chunk() -> bytes | None:
            return b"".join(await answer.read()) or None

        try:
            yield answer.status, [header for header in answer.headers if header[0] in PASSED_ON], chunk
        finally:
            answer.close()


CLIENTS: dict[str, Callable[[str], Any]] = {
    "aiohttp": Aiohttp,
    "httpx": Httpx,
    "own": Own,
    "pyreqwest": Pyreqwest,
}


class Asgi:
    def __init__(self, client: str, upstream: str) -> None:
        self.make = lambda: CLIENTS[client](upstream)
        self.client: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if self.client is None:
            self.client = self.make()
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        async with self.client.open(b"".join(parts)) as (status, headers, chunk):
            named = [(name.encode(), value.encode()) for name, value in headers]
            await send({"type": "http.response.start", "status": status, "headers": named})
            while (data := await chunk()) is not None:
                await send({"type": "http.response.body", "body": bytes(data), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class Rsgi:
    def __init__(self, client: str, upstream: str) -> None:
        self.make = lambda: CLIENTS[client](upstream)
        self.client: Any = None

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        if self.client is None:
            self.client = self.make()
        body = await proto()
        async with self.client.open(body) as (status, headers, chunk):
            out = proto.response_stream(status, headers)
            while (data := await chunk()) is not None:
                await out.send_bytes(bytes(data))


class OwnServer:
    def __init__(self, client: str, upstream: str) -> None:
        self.make = lambda: CLIENTS[client](upstream)
        self.client: Any = None

    async def __call__(self, request: Any) -> None:
        if self.client is None:
            self.client = self.make()
        body = await request.body(1 << 30)
        async with self.client.open(body) as (status, headers, chunk):
            request.start_response(status, headers)
            while (data := await chunk()) is not None:
                request.send([data])
                if request.is_full:
                    await request.drain()

    async def serve(self, port: int) -> None:
        from freehold.gateway.http.server import HttpServer

        listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        await HttpServer(self).listen(listener)
        await asyncio.Event().wait()


def load() -> Any:
    kind = Rsgi if sys.argv[1] == "granian-rsgi" else Asgi
    return kind(sys.argv[2], sys.argv[4])


def main() -> None:
    server, _, port, _ = sys.argv[1:]
    if server.startswith("granian"):
        from granian import Granian

        Granian(
            "passthrough:load",
            port=int(port),
            interface=server.removeprefix("granian-").replace("asgi", "asginl"),
            loop="uvloop",
            log_enabled=False,
            websockets=False,
            http="1",
            factory=True,
        ).serve(target_loader=lambda *_args, **_kwargs: load())
    elif server == "own":
        import uvloop

        uvloop.run(OwnServer(sys.argv[2], sys.argv[4]).serve(int(port)))
    elif server == "uvicorn":
        import uvicorn

        uvicorn.run(
            load(), port=int(port), loop="uvloop", http="httptools", log_level="error", access_log=False
        )
    else:
        import hypercorn.asyncio
        import hypercorn.config
        import uvloop

        config = hypercorn.config.Config()
        config.bind = [f"127.0.0.1:{port}"]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(hypercorn.asyncio.serve(load(), config))


if __name__ == "__main__":
    main()
