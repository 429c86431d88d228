"""`freehold up --render`: the file for one of the programs that keep a gateway, or stand in front of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from freehold.errors import UsageError
from freehold.workflows.project import Project
from freehold.workflows.shift.deployment import proxies, systemd
from freehold.workflows.shift.deployment.service import Target, service_of
from freehold.workflows.shift.up import Listening

_UPSTREAM = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")


def render(
    project: Project,
    target: Target,
    *,
    listening: Listening,
    options: Sequence[str] = (),
    with_engine: bool = True,
    user: str = "",
    upstreams: Sequence[str] = (),
) -> str:
    """The file for `target`, with what `freehold up` was told (`listening`, and `options` as they were typed).

    Reads the project and writes nothing. Raises `UsageError` for options that contradict the target, and `ConfigError`
    for a project of which no sound file can be made.
    """
    if upstreams and target == "systemd":
        raise UsageError("--upstream is for a proxy; systemd starts one gateway", hint="leave --upstream out")
    service = service_of(
        project,
        target,
        listening=listening,
        options=options,
        with_engine=with_engine,
        user=user,
        upstreams=upstreams,
    )
    if target != "systemd":
        _check_addresses(service.upstreams)  # of --host and FREEHOLD_HOST as well
    return {"systemd": systemd.unit, "nginx": proxies.nginx, "caddy": proxies.caddy}[target](service)


def _check_addresses(upstreams: Sequence[str]) -> None:
    for upstream in upstreams:
        found = _UPSTREAM.fullmatch(upstream)
        if found is None or not 0 < int(found[1]) < 65536:
            raise UsageError(f"{upstream!r} is not an address", hint="HOST:PORT, such as 10.0.0.5:8420")
