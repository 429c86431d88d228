"""Bind the console's port and serve until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Sequence

from freehold.console.app import Console, application
from freehold.console.sessions import Sessions, Visitor
from freehold.errors import PortInUseError
from freehold.late import web
from freehold.wire.hosts import HostPolicy, check_host_names
from freehold.workflows.project import Project


def serve(
    project: Project,
    *,
    host: str,
    port: int,
    hosts: Sequence[str] = (),
    token: str | None,
    visitor: Visitor,
    ready: Callable[[str], None],
) -> None:
    """Serve until told to stop; `ready` is called with the address once it answers. `hosts` are names it is reached by
    besides the machine's own. With a `token`, who has it is `visitor`; without, all who come show a key. Raises
    `PortInUseError` and `ConfigError`."""
    check_host_names(hosts)
    asyncio.run(
        run(project, host=host, port=port, hosts=hosts, token=token, visitor=visitor, ready=ready, stop=None)
    )


async def run(
    project: Project,
    *,
    host: str,
    port: int,
    hosts: Sequence[str] = (),
    token: str | None,
    visitor: Visitor,
    ready: Callable[[str], None],
    stop: asyncio.Event | None,
) -> None:
    """`serve` in a running loop, until a signal or `stop`."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only a main thread on a Unix may take signals; elsewhere Ctrl-C or `stop` ends it.
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
    # The port is bound first: the host names the console answers to are known only then.
    try:
        server_socket = await asyncio.to_thread(_bind, host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(host, port) from None
        raise
    bound = server_socket.getsockname()[1]
    policy = HostPolicy(hosts, listens=host, port=bound)
    app = application(Console(project=project, sessions=Sessions(token, visitor), hosts=policy))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.SockSite(runner, server_socket).start()
        ready(f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{bound}")  # noqa: S104 (compared, or chosen by the user)
        await stop.wait()
    finally:
        await runner.cleanup()


def _bind(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
