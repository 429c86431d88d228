"""Echo as a process."""

from __future__ import annotations

import asyncio

import msgspec

from freehold import logs
from freehold.engines.echo.app import EchoApp
from freehold.engines.echo.options import EchoOptions
from freehold.engines.guard import read_plan, serve

if __name__ == "__main__":
    logs.configure()
    plan, key = read_plan()
    app = EchoApp(plan, msgspec.convert(plan.options, EchoOptions), key).application()
    asyncio.run(serve(app, plan))
