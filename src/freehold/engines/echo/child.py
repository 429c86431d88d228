"""Echo as a process: plan and port come on the first line of stdin, the key it asks for on the second.

The closing of stdin ends the process.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading

import msgspec

from freehold import logs
from freehold.engines.echo.app import EchoApp
from freehold.engines.echo.options import EchoOptions
from freehold.engines.lifeline import watch_parent
from freehold.late import web
from freehold.types.endpoint import ServePlan


async def serve(plan: ServePlan, key: str | None) -> None:
    """Serve `plan` on its host and port until the parent closes stdin or sends SIGTERM."""
    app = EchoApp(plan, msgspec.convert(plan.options, EchoOptions), key).application()
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, plan.host, plan.port).start()
    print(f"echo listens on {plan.host}:{plan.port}", file=sys.stderr, flush=True)  # noqa: T201
    gone = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: gone.set())
    watch_parent(gone)
    await asyncio.to_thread(gone.wait)
    await runner.cleanup()


if __name__ == "__main__":
    logs.configure()
    given = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServePlan)
    asyncio.run(serve(given, sys.stdin.buffer.readline().decode().strip() or None))
