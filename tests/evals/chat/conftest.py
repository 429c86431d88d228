"""A replay against a fresh loopback endpoint."""

import asyncio

from freehold.evals.client import Patience
from freehold.evals.replay import ReplayOptions, replay
from freehold.types.evaluation import Task

TASK = Task(name="t", scorer="exact", max_tokens=9)


QUICK = Patience(attempts=3, first_wait_seconds=0.01, request_seconds=5)


def said(body, attempt):
    return body["messages"][-1]["content"].removeprefix("say ")


def run(serve, reply, samples, *, endpoint=None, **options):
    """Replay against a fresh loopback endpoint; returns the results and the server."""
    server_options = {key: options.pop(key) for key in ("streaming", "finish_reason") if key in options}
    options.setdefault("patience", QUICK)
    model = options.pop("model", "m")
    task = options.pop("task", TASK)
    asking = {key: options.pop(key) for key in ReplayOptions._fields if key in options}

    async def go():
        async with serve(reply, **server_options) as server:
            target = endpoint(server.endpoint) if endpoint else server.endpoint
            return await replay(
                target, model, samples, task, options=ReplayOptions(**asking), **options
            ), server

    return asyncio.run(go())
