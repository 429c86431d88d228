"""Ports of engines, and who may ask there."""

import asyncio
import socket

import pytest
from aiohttp import ClientSession, web

from freehold.engines import supervisor
from freehold.engines.guard import own_hosts_only
from freehold.errors import PortInUseError, UsageError


def test_a_free_port_is_found_and_one_in_use_is_refused():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", supervisor.claim_port("127.0.0.1", 0)))
        listening.listen()
        taken = listening.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(taken)):
            supervisor.claim_port("127.0.0.1", taken)
    assert supervisor.claim_port("127.0.0.1", taken) == taken


def test_an_address_of_another_machine_cannot_be_listened_on():
    for port in (0, 8420):
        with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1"):
            supervisor.claim_port("192.0.2.1", port)
    with pytest.raises(UsageError, match="not the name of a host"):
        supervisor.claim_port("\u202e", 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_allowed(host):
    supervisor.require_loopback(host, "the engine")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org", ""])
def test_anything_else_would_be_open_to_others(host):
    with pytest.raises(UsageError, match="past the gateway") as caught:
        supervisor.require_loopback(host, "the engine")
    assert "freehold up --host" in caught.value.hint


@pytest.mark.parametrize(("host", "status"), [(None, 200), ("localhost:1", 200), ("evil.example", 421)])
def test_a_foreign_name_is_refused(host, status):
    async def hello(_: web.Request) -> web.Response:
        return web.json_response({})

    async def main():
        app = web.Application(middlewares=[own_hosts_only])
        app.router.add_get("/", hello)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        headers = {"Host": host} if host else {}
        try:
            async with (
                ClientSession() as http,
                http.get(f"http://127.0.0.1:{port}/", headers=headers) as reply,
            ):
                return reply.status
        finally:
            await runner.cleanup()

    assert asyncio.run(main()) == status
