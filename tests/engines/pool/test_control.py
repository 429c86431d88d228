"""The API that adds and removes adapters."""

import json

import aiohttp
import pytest
from tests.engines.pool.echo_pool import plan_of, pool_of

from freehold.engines.pool.control import Control
from freehold.engines.pool.front import Front

pytestmark = pytest.mark.anyio


async def test_control_needs_its_token_and_says_what_is_wrong(tmp_path):
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({}))
    async with pool_of(tmp_path, plan_of("a"), plan_of("b")) as pool:
        control = Control(pool)
        async with Front(pool, control).running() as front, aiohttp.ClientSession() as http:
            url = f"{front.base_url}/control/v1"
            body = {"model": "a", "mount": {"name": "a:t", "path": str(answers)}}
            async with http.post(f"{url}/adapters", json=body) as reply:
                assert reply.status == 401
            headers = {"authorization": f"Bearer {control.token}"}
            async with http.get(f"{url}/models", headers=headers) as reply:
                assert [one["state"] for one in (await reply.json())["models"]] == ["ready", "ready"]
            async with http.post(f"{url}/adapters", json=body, headers=headers) as reply:
                assert (await reply.json())["models"][0]["adapters"] == ["a:t"]
            async with http.delete(f"{url}/adapters/a:t", headers=headers) as reply:
                assert (await reply.json())["models"][0]["adapters"] == []
            async with http.post(f"{url}/adapters", json={**body, "model": "x"}, headers=headers) as reply:
                assert reply.status == 409 and "x" in (await reply.json())["error"]["message"]
            async with http.post(f"{url}/adapters", data="{", headers=headers) as reply:
                assert reply.status == 400
