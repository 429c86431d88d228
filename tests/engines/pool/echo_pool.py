"""A pool of echo engines, and a client of it."""

import contextlib
import json

import aiohttp

from freehold.engines import keys
from freehold.engines.pool import HostedModel, Pool, PoolLimits
from freehold.engines.pool.control import Control
from freehold.engines.pool.front import Front
from freehold.types.endpoint import ServePlan

GIB = 1 << 30


def hosted(name, *, gib=1, pinned=False, **options):
    plan = ServePlan(
        engine="echo", model=name, context_tokens=256, parallel=4, options={"in_process": True, **options}
    )
    return HostedModel(plan=plan, bytes=gib * GIB, pinned=pinned)


@contextlib.asynccontextmanager
async def pool_of(tmp_path, *models, budget_gib=2, **named):
    limits = {name: named.pop(name) for name in PoolLimits.__struct_fields__ if name in named}
    pool = Pool(models, PoolLimits(budget_bytes=budget_gib * GIB, **limits), log_dir=tmp_path, **named)
    try:
        yield pool
    finally:
        await pool.close()


def states(pool):
    return {one.model: one.state for one in pool.status()}


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
