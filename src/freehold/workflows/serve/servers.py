"""The servers of a project that live now, found by the files they leave."""

from __future__ import annotations

from pathlib import Path

import msgspec

from freehold.engines.pool.control import Served
from freehold.errors import UsageError
from freehold.processes import is_alive


def live(log_dir: Path) -> list[Served]:
    """The servers of a project that live, those of this process included; not those of a project it is a copy of."""
    servers = []
    for file in sorted(log_dir.glob("serving-*.json")):
        try:
            served = msgspec.json.decode(file.read_bytes(), type=Served)
        except (OSError, msgspec.MsgspecError):
            continue
        if is_alive(served, log_dir):
            servers.append(served)
    return servers


def only(log_dir: Path, *, port: int | None = None) -> Served:
    """The server that is meant. Raises `UsageError` when there is none, or several and no port says which."""
    servers = live(log_dir)
    if port is not None:
        servers = [server for server in servers if server.url.rstrip("/").endswith(f":{port}")]
    if not servers:
        raise UsageError(
            "nothing is served from this project" + (f" on port {port}" if port else ""),
            hint="freehold serve MODEL starts it",
        )
    if len(servers) > 1:
        raise UsageError(
            f"several are served from this project: {', '.join(server.url for server in servers)}",
            hint="say which by its port: --port",
        )
    return servers[0]
