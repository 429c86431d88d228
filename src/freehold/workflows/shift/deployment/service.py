"""`freehold up --render`: a project's gateway as other programs are told of it."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from freehold.errors import ConfigError, UsageError
from freehold.settings import SETTINGS
from freehold.types.record import Record
from freehold.wire.hosts import ANY_HOST, check_host_names
from freehold.workflows.project import Project
from freehold.workflows.shift.following import named_variables
from freehold.workflows.shift.up import Listening
from freehold.workflows.trust import reach_of

Target = Literal["systemd", "nginx", "caddy"]
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_DATABASE = "FREEHOLD_DATABASE_URL"
_OF_SPANS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class GatewayService(Record, frozen=True, kw_only=True):
    """What is rendered: the command that starts a gateway, and what its process touches. Paths are absolute.

    `names` are what clients call it; `upstreams` are the addresses (HOST:PORT) where a proxy finds it.
    `secrets` are the variables that it needs besides `environment`, by name. `runs_user_code` says that the project's
    scorer starts programs in namespaces of their own.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    secrets: tuple[str, ...]
    port: int
    folder: str
    state: str
    home: str
    user: str | None
    has_engine: bool
    runs_user_code: bool
    drain_seconds: float
    read_timeout_seconds: float
    max_body_bytes: int
    names: tuple[str, ...]
    upstreams: tuple[str, ...]
    certificate: str | None
    certificate_key: str | None


def service_of(
    project: Project,
    target: Target,
    *,
    listening: Listening,
    options: Sequence[str],
    with_engine: bool,
    user: str,
    upstreams: Sequence[str],
) -> GatewayService:
    """The service that is rendered. Raises what `render` raises."""
    from freehold.gateway.config import GatewayConfig

    if project.config_path is None:
        raise ConfigError(
            "there is no freehold.toml here, and a service is one of a project",
            hint="freehold init TRAFFIC writes one; or name it: --config FILE",
        )
    config = project.config
    host = listening.host or project.settings.host
    port = listening.port or config.serve.port or project.settings.port
    if target != "systemd":
        _check_behind_proxy(project)
    names = tuple(name for name in config.serve.hosts if name != ANY_HOST and not name.startswith("*."))
    check_host_names(names)
    defaults = {field.name: field.default for field in msgspec.structs.fields(GatewayConfig)}
    service = GatewayService(
        name=config.app.name,
        command=(*program(), "up", "--config", str(project.config_path.absolute()), *options),
        environment=_environment(project),
        secrets=_secrets(project),
        port=port,
        folder=str(project.root.absolute()),
        state=str((project.settings.state or project.root / ".freehold").absolute()),
        home=str(project.settings.home.absolute()),
        user=_user(user) if target == "systemd" else None,
        has_engine=with_engine,
        runs_user_code=config.task.scorer == "code",
        drain_seconds=config.serve.drain_s,
        read_timeout_seconds=defaults["read_timeout_s"],
        max_body_bytes=defaults["max_body_bytes"],
        names=names,
        upstreams=tuple(upstreams) or (_address(host, port),),
        certificate=None if listening.tls is None else str(Path(listening.tls.certificate).absolute()),
        certificate_key=None if listening.tls is None else str(Path(listening.tls.key).absolute()),
    )
    _check_text(service)
    return service


def program() -> tuple[str, ...]:
    """How this freehold is started, by absolute paths."""
    beside = Path(sys.executable).with_name("freehold")
    if beside.is_file():
        return (str(beside),)
    return (sys.executable, "-m", "freehold")


def _environment(project: Project) -> dict[str, str]:
    """The settings that this environment says; the weights' folder in any case, which hangs on the user's own."""
    found = {
        setting.variable: str(getattr(project.settings, setting.name))
        for setting in SETTINGS
        if os.environ.get(setting.variable) and setting.variable != _DATABASE
    }
    for name in ("FREEHOLD_HOME", "FREEHOLD_STATE"):
        if name in found:
            found[name] = str(Path(found[name]).absolute())
    assert project.config_path is not None
    trusted = reach_of(project.config, project.config_path, project.settings)
    if trusted.all:  # the service runs without a terminal, and may run as another user
        found["FREEHOLD_TRUST"] = trusted.hash
    return {"FREEHOLD_HOME": str(project.settings.home.absolute()), **found}


def _secrets(project: Project) -> tuple[str, ...]:
    """Variables whose values are not written into a file that many may read: keys, and a database's password."""
    config = project.config
    keys = [table.api_key_env for table in (config.incumbent, *config.endpoints) if table is not None]
    database = _DATABASE if os.environ.get(_DATABASE) else None
    spans = [name for name in _OF_SPANS if project.settings.otel and os.environ.get(name)]
    named = (*keys, *spans, *named_variables(config), database)
    return tuple(sorted({name for name in named if name is not None}))


def _check_behind_proxy(project: Project) -> None:
    serve = project.config.serve
    if serve.tls_cert is not None:
        raise ConfigError(
            "[serve] tls_cert makes the gateway speak TLS itself, and a proxy that is rendered asks it over plain HTTP",
            hint="take both out of [serve], and give the certificate to the proxy: --tls-cert, --tls-key",
        )
    if not [name for name in serve.hosts if name != ANY_HOST and not name.startswith("*.")]:
        raise ConfigError(
            "a proxy needs the name that clients ask for, and none is said",
            hint='--allow-host llm.example.com, or [serve] hosts = ["llm.example.com"]',
        )


def _user(user: str) -> str:
    if user in ("root", "0"):
        raise UsageError(
            "a gateway reads what strangers send, so its service does not run as root",
            hint="name the user who owns the project: --user NAME",
        )
    if not _USER.fullmatch(user):
        raise UsageError(f"{user!r} is not the name of a user", hint="--user NAME")
    return user


def _address(host: str, port: int) -> str:
    """Where a proxy on this machine finds the gateway."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{host}:{port}"
    if address.is_unspecified:
        return f"127.0.0.1:{port}" if address.version == 4 else f"[::1]:{port}"
    return f"[{host}]:{port}" if address.version == 6 else f"{host}:{port}"


def _check_text(service: GatewayService) -> None:
    """Raises `ConfigError` for control characters, which would end a line of the file and begin one of their own."""
    values = msgspec.to_builtins(service)
    for field, value in values.items():
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        texts = [*texts, *(value.values() if isinstance(value, dict) else ())]
        if any(isinstance(text, str) and _CONTROL.search(text) for text in texts):
            raise ConfigError(f"{field} has a control character, which a configuration file cannot hold")
