"""The servers of a project that live now, found by the files they leave."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil

from freehold.engines.pool.control import Served
from freehold.errors import UsageError


def live(log_dir: Path) -> list[Served]:
    """The servers of a project that live, those of this process included."""
    found = []
    for file in sorted(log_dir.glob("serving-*.json")):
        try:
            served = msgspec.json.decode(file.read_bytes(), type=Served)
            alive = abs(psutil.Process(served.pid).create_time() - served.started) < 1.0
        except (OSError, msgspec.MsgspecError, psutil.Error):
            continue
        if alive:
            found.append(served)
    return found


def only(log_dir: Path, *, port: int | None = None) -> Served:
    """The server that is meant. Raises `UsageError` when there is none, or several and no port says which."""
    found = live(log_dir)
    if port is not None:
        found = [one for one in found if one.url.rstrip("/").endswith(f":{port}")]
    if not found:
        raise UsageError(
            "nothing is served from this project" + (f" on port {port}" if port else ""),
            hint="freehold serve MODEL starts it",
        )
    if len(found) > 1:
        raise UsageError(
            f"several are served from this project: {', '.join(one.url for one in found)}",
            hint="say which by its port: --port",
        )
    return found[0]
