"""A worker process: one event loop, one application, a listening socket it shares with the other workers.

Run as ``python -m freehold.gateway.worker RUN_FOLDER FD`` with the configuration on stdin. It ends, running
answers first, on SIGTERM and when its stdin is closed, which is also what happens when the gateway's main process dies.
On SIGUSR2 it leaves: each of its clients is told so with the next answer, and others stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from freehold import files
from freehold.gateway.app import GatewayApp, running
from freehold.gateway.child_process import LEAVE_SIGNAL, Heartbeat, freeze_heap, read_config, run_on_fast_loop
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.certificate import ServerCertificate
from freehold.gateway.http.server import HttpServer
from freehold.gateway.lane.client import connecting
from freehold.gateway.telemetry.request_log import log_as_json

log = logging.getLogger("freehold.gateway")
_RING_WITHIN_S = 3.0


async def work(config: GatewayConfig, run_folder: Path, listener: socket.socket) -> None:
    """Serve until told to stop or to leave."""
    loop = asyncio.get_running_loop()
    Heartbeat(run_folder)
    stopping, ending = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        stopping.set()
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(LEAVE_SIGNAL, ending.set)

    def on_stdin() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop()

    loop.add_reader(0, on_stdin)
    async with running(config, run_folder) as app:
        # Until the keys are known every request would be refused: connections wait in the socket instead, for a while.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(app.state.ring_known.wait(), _RING_WITHIN_S)
        server = serving(app)
        certificate = None if config.tls is None else ServerCertificate(config.tls)
        app.state.certificate = certificate
        await server.listen(listener, certificate)
        following = None if certificate is None else loop.create_task(certificate.follow())
        freeze_heap()
        log.info("serving")
        await ending.wait()
        log.info("draining")
        drain_s = app.state.config.drain_s  # as the file says now
        if not stopping.is_set():
            await server.leave(drain_s, stopping)
        await server.drain(drain_s)
        if following is not None:
            following.cancel()


def serving(app: GatewayApp) -> HttpServer:
    """The server of an application's clients. A revoked key ends what it began."""
    server = HttpServer(app, app.state.memory, connecting(app.state))
    app.state.on_revoked = lambda: server.end(lambda request: app.state.keys.refuses(request.header))
    return server


def main() -> None:
    files.keep_private()
    log_as_json()
    # Each client and each upstream is an open file.
    with contextlib.suppress(OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    config = read_config()
    listener = socket.socket(fileno=int(sys.argv[2]))
    run_on_fast_loop(work(config, Path(sys.argv[1]), listener))


if __name__ == "__main__":
    main()
