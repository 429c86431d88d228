"""The API that loads and unloads models and adapters."""

import aiohttp
import pytest
from tests.engines.pool.echo_pool import hosted, pool_of

from freehold.engines.pool.control import Control
from freehold.engines.pool.front import Front

pytestmark = pytest.mark.anyio


async def test_control_needs_its_token_and_says_what_is_wrong(tmp_path):
    async with pool_of(tmp_path, hosted("a"), hosted("b")) as pool:
        control = Control(pool)
        async with Front(pool, control).running() as front, aiohttp.ClientSession() as http:
            url = f"{front.base_url}/control/v1"
            async with http.post(f"{url}/load", json={"model": "a"}) as reply:
                assert reply.status == 401
            headers = {"authorization": f"Bearer {control.token}"}
            async with http.post(f"{url}/load", json={"model": "a"}, headers=headers) as reply:
                models = (await reply.json())["models"]
                assert [one["state"] for one in models] == ["ready", "unloaded"]
            async with http.post(f"{url}/unload", json={"model": "a"}, headers=headers) as reply:
                assert (await reply.json())["models"][0]["state"] == "unloaded"
            async with http.post(f"{url}/load", json={"model": "x"}, headers=headers) as reply:
                assert reply.status == 409 and "x" in (await reply.json())["error"]["message"]
            async with http.post(f"{url}/load", data="{", headers=headers) as reply:
                assert reply.status == 400
