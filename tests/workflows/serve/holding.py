"""Engines that are held while a test looks at them."""

import asyncio

from freehold.gateway.config import GatewayConfig
from freehold.processes import claim_port
from freehold.types.endpoint import ServePlan
from freehold.workflows.serve.hold import hold


def echo(name="echo", **fields):
    return ServePlan(engine="echo", model=name, options={"in_process": True}, **fields)


def hold_while(use, plans, log_dir, config=None, **named):
    """Hold the plans' engines; ``use(served_at)`` runs in a thread once all are ready, then they are stopped."""

    config = config or GatewayConfig(endpoints=(), port=claim_port())

    async def run():
        stop, told = asyncio.Event(), asyncio.get_running_loop().create_future()
        held = asyncio.create_task(
            hold(plans, config, log_dir=log_dir, ready=told.set_result, stop=stop, **named)
        )
        await asyncio.wait({held, told}, return_when=asyncio.FIRST_COMPLETED)
        if held.done():
            held.result()
        try:
            await asyncio.to_thread(use, told.result())
        finally:
            stop.set()
            await held

    asyncio.run(run())
