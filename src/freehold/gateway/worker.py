"""A worker process: one event loop, one application, a listening socket it shares with the other workers.

Run as ``python -m freehold.gateway.worker RUN_FOLDER FD`` with the configuration on stdin. It ends, running answers
first, on SIGTERM and when its stdin is closed, which is also what happens when the gateway's main process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from freehold.gateway.app import GatewayApp
from freehold.gateway.child_process import first_words, run_on_fast_loop, settle
from freehold.gateway.config import from_json
from freehold.gateway.http.server import Server
from freehold.gateway.telemetry.request_log import log_as_json


async def work(app: GatewayApp, listener: socket.socket) -> None:
    """Serve until told to stop."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    def parent_spoke() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stopping.set()

    loop.add_reader(0, parent_spoke)
    await app.start()
    server = Server(app)
    await server.listen(listener)
    settle()
    await stopping.wait()
    await server.drain(app.config.drain_s)
    await app.stop()


def main() -> None:
    log_as_json()
    # Each client and each upstream is an open file.
    with contextlib.suppress(OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    app = GatewayApp(from_json(first_words()), Path(sys.argv[1]))
    listener = socket.socket(fileno=int(sys.argv[2]))
    run_on_fast_loop(work(app, listener))


if __name__ == "__main__":
    main()
