"""A pool of echo engines, and a client of it."""

import contextlib
import json

import aiohttp

from freehold.engines import keys
from freehold.engines.pool import Pool
from freehold.engines.pool.control import Control
from freehold.engines.pool.front import Front
from freehold.types.endpoint import ServePlan


def plan_of(name, **options):
    return ServePlan(
        engine="echo", model=name, context_tokens=256, parallel=4, options={"in_process": True, **options}
    )


@contextlib.asynccontextmanager
async def pool_of(tmp_path, *plans, **named):
    pool = Pool(plans, [plan.model for plan in plans], log_dir=tmp_path, **named)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def served(pool):
    async with (
        Front(pool, Control(pool)).running() as front,
        aiohttp.ClientSession(headers=keys.bearer(keys.RUN_KEY_ENV)) as http,
    ):
        yield front, http


async def ask(http, front, model, text="hello"):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    async with http.post(f"{front.base_url}/v1/chat/completions", data=json.dumps(body)) as reply:
        answer = await reply.json()
    return reply.status, answer["choices"][0]["message"]["content"] if reply.status == 200 else answer
