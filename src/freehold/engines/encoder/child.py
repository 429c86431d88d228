"""An encoder's server as a process: the plan comes on the first line of stdin, the key it asks for on the second.

The closing of stdin ends the process.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from pathlib import Path

import msgspec

from freehold import logs
from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import load_runner
from freehold.engines.encoder.app import EncoderApp
from freehold.engines.encoder.options import EncoderOptions
from freehold.engines.lifeline import watch_parent
from freehold.errors import FreeholdError
from freehold.late import web
from freehold.types.endpoint import ServePlan


async def serve(plan: ServePlan, key: str | None) -> None:
    """Serve `plan` on its host and port until the parent closes stdin or sends SIGTERM."""
    options = msgspec.convert(plan.options, EncoderOptions)
    folder = Path(plan.weights_path or "")
    runner = load_runner(folder, threads=plan.threads or 1, most_tokens=plan.context_tokens)
    app = EncoderApp(plan, options, read_manifest(folder), runner, key).application()
    # A client that leaves takes its texts out of the queue.
    site = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=1.0, handler_cancellation=True
    )
    await site.setup()
    await web.TCPSite(site, plan.host, plan.port).start()
    print(f"encoder listens on {plan.host}:{plan.port}", file=sys.stderr, flush=True)  # noqa: T201
    gone = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: gone.set())
    watch_parent(gone)
    await asyncio.to_thread(gone.wait)
    await site.cleanup()


def main() -> int:
    """Serve the plan on stdin; 1 where the encoder cannot be loaded, with the reason as the last line of the log."""
    logs.configure()
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServePlan)
    key = sys.stdin.buffer.readline().decode().strip() or None
    try:
        asyncio.run(serve(plan, key))
    except FreeholdError as error:
        print(f"error: {error.message}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
