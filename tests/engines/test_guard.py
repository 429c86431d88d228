"""Who may ask engines of freehold's own."""

import asyncio

import pytest
from aiohttp import ClientSession, web

from freehold.engines.guard import own_hosts_only


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
