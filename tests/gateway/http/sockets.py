"""Raw sockets to a gateway, and bare servers."""

import asyncio
import json
import socket

from tests.gateway.asking import QUESTION

from freehold.gateway.http import server as server_module


def raw(running):
    return socket.create_connection(("127.0.0.1", running.config.port), timeout=5)


def ask(body=QUESTION, *, version="1.1", more=""):
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/{version}\r\nhost: [::1]\r\n{more}content-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def read_answer(file):
    """Status, headers and body of one answer with a length."""
    status = int(file.readline().split()[1])
    headers = {}
    while line := file.readline().strip():
        name, _, value = line.partition(b": ")
        headers[name.decode()] = value.decode()
    return status, headers, file.read(int(headers["content-length"]))


def serving(handler, scenario):
    """Run a scenario, an async function of server and port, against a bare server."""

    async def main():
        listener = socket.create_server(("127.0.0.1", 0))
        server = server_module.HttpServer(handler)
        await server.listen(listener)
        await asyncio.wait_for(scenario(server, listener.getsockname()[1]), 20)
        await server.drain(0.1)

    asyncio.run(main())
