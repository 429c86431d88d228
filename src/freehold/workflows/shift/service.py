"""`freehold up --render systemd`: a unit that starts a project's gateway, keeps it, renews it, and lets it reach
nothing it does not need.

Directives: systemd.service(5), systemd.exec(5) and systemd.kill(5) of systemd 257 (read 2026-11-29).
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import msgspec

from freehold.errors import ConfigError, UsageError
from freehold.settings import SETTINGS
from freehold.types.record import Record
from freehold.workflows.project import Project, reach_of
from freehold.workflows.shift.following import named_variables
from freehold.workflows.shift.up import Listening

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_DATABASE = "FREEHOLD_DATABASE_URL"
_OF_SPANS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class GatewayService(Record, frozen=True, kw_only=True):
    """What is rendered: the command that starts a gateway, and what its process touches. Paths are absolute.

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
    user: str
    has_engine: bool
    runs_user_code: bool
    drain_seconds: float


def service_of(
    project: Project,
    *,
    listening: Listening,
    options: Sequence[str] = (),
    with_engine: bool = True,
    user: str,
) -> GatewayService:
    """The service with what `freehold up` was told (`listening`, and `options` as they were typed).

    Reads the project and writes nothing. Raises `UsageError` for a user that no service should run as, and
    `ConfigError` for a project of which no sound unit can be made.
    """
    if project.config_path is None:
        raise ConfigError(
            "there is no freehold.toml here, and a service is one of a project",
            hint="freehold init TRAFFIC writes one; or name it: --config FILE",
        )
    config = project.config
    service = GatewayService(
        name=config.app.name,
        command=(*program(), "up", "--config", str(project.config_path.absolute()), *options),
        environment=_environment(project),
        secrets=_secrets(project),
        port=listening.port or config.serve.port or project.settings.port,
        folder=str(project.root.absolute()),
        state=str((project.settings.state or project.root / ".freehold").absolute()),
        home=str(project.settings.home.absolute()),
        user=_user(user),
        has_engine=with_engine,
        runs_user_code=config.task.scorer == "code",
        drain_seconds=config.serve.drain_s,
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


def _user(user: str) -> str:
    if user in ("root", "0"):
        raise UsageError(
            "a gateway reads what strangers send, so its service does not run as root",
            hint="name the user who owns the project: --user NAME",
        )
    if not _USER.fullmatch(user):
        raise UsageError(f"{user!r} is not the name of a user", hint="--user NAME")
    return user


def _check_text(service: GatewayService) -> None:
    """Raises `ConfigError` for control characters, which would end a line of the file and begin one of their own."""
    values = msgspec.to_builtins(service)
    for field, value in values.items():
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        texts = [*texts, *(value.values() if isinstance(value, dict) else ())]
        if any(isinstance(text, str) and _CONTROL.search(text) for text in texts):
            raise ConfigError(f"{field} has a control character, which a configuration file cannot hold")


LIMIT_FILES = 65_536
"""Open files: each client and each upstream connection is one."""
START_SECONDS = 1800
"""An engine may load its weights for this long."""
AFTER_DRAIN_SECONDS = 30
"""Engines and the recorder end after the gateway's last stream."""
FIRST_FREE_PORT = 1024
"""Below it a port is for programs with the right to it."""
_HOMES = ("/home", "/root", "/run/user")


def unit(service: GatewayService) -> str:
    """The unit's text. It runs as the project's owner, whose files it reads; only state and weights are written.

    Raises `ConfigError` for a folder that a unit cannot name.
    """
    stop_seconds = math.ceil(service.drain_seconds) + AFTER_DRAIN_SECONDS
    sections = {
        "Unit": [
            f"Description=freehold gateway of {_escaped(service.name)}",
            "Wants=network-online.target",
            "After=network-online.target",
            # A store or an incumbent may come up later than this machine's network does.
            "StartLimitIntervalSec=0",
        ],
        "Service": [
            "Type=notify",
            f"User={service.user}",
            f"WorkingDirectory={_line(service.folder)}",
            f"ExecStart={' '.join(_argument(word) for word in service.command)}",
            "# New workers take over the port and the connections; the old ones end with their streams.",
            "ExecReload=/bin/kill -USR2 $MAINPID",
            *(f"Environment={_assignment(name, value)}" for name, value in service.environment.items()),
            *_secret_lines(service),
            "Restart=on-failure",
            "RestartSec=1",
            # What a restart does not mend is tried more and more seldom.
            "RestartSteps=8",
            "RestartMaxDelaySec=60",
            f"TimeoutStartSec={START_SECONDS if service.has_engine else 120}",
            f"TimeoutStopSec={stop_seconds}",
            "# The main process lets streams finish, then ends its children.",
            "KillMode=mixed",
            "OOMPolicy=continue",
            f"LimitNOFILE={LIMIT_FILES}",
            "UMask=0077",
            "",
            *_places(service),
            "",
            *_hardening(service),
        ],
        "Install": ["WantedBy=multi-user.target"],
    }
    file_name = f"freehold-{_file_name(service.name)}.service"
    head = [
        f"# Made by freehold up --render systemd. For /etc/systemd/system/{file_name}; then",
        f"# systemctl daemon-reload && systemctl enable --now {file_name}",
    ]
    parts = ["\n".join([f"[{name}]", *lines]) for name, lines in sections.items()]
    return "\n".join(head) + "\n\n" + "\n\n".join(parts) + "\n"


def _secret_lines(service: GatewayService) -> list[str]:
    """Where the variables are read from that this file must not hold; missing, it stops a start that needs them."""
    path = f"/etc/freehold/{_file_name(service.name)}.env"
    if not service.secrets:
        return [f"EnvironmentFile=-{path}"]
    return [
        f"# NAME=value, a line for each of {', '.join(service.secrets)}; chmod 600, owner root.",
        f"EnvironmentFile={path}",
    ]


def _places(service: GatewayService) -> list[str]:
    """What may be written: below /var/lib and /var/cache systemd makes the folder, elsewhere it has to be there."""
    lines = ["ProtectSystem=strict"]
    writable = []
    kinds = {"StateDirectory": (service.state, "/var/lib"), "CacheDirectory": (service.home, "/var/cache")}
    for directive, (folder, root) in kinds.items():
        path = PurePosixPath(folder)
        # A colon there parts two names; elsewhere it is a sign like others.
        if path.is_relative_to(root) and str(path) != root and ":" not in folder:
            lines += [f"{directive}={_word(str(path.relative_to(root)))}", f"{directive}Mode=0700"]
        else:
            writable.append(folder)
    if writable:
        # With "-", one that is missing is not an error: a gateway without an engine has no weights.
        lines.append("ReadWritePaths=" + " ".join(_word(f"-{folder}") for folder in writable))
    used = (service.state, service.home, service.folder, service.command[0])
    below_home = any(PurePosixPath(path).is_relative_to(home) for path in used for home in _HOMES)
    lines.append(f"ProtectHome={'read-only' if below_home else 'yes'}")
    return [*lines, "PrivateTmp=yes"]


def _hardening(service: GatewayService) -> list[str]:
    capabilities = "CAP_NET_BIND_SERVICE" if service.port < FIRST_FREE_PORT else ""
    lines = [
        "NoNewPrivileges=yes",
        f"CapabilityBoundingSet={capabilities}",
        f"AmbientCapabilities={capabilities}",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelModules=yes",
        "SystemCallArchitectures=native",
    ]
    if service.runs_user_code:
        lines.append(
            "# The project's scorer runs code in namespaces of its own, which further lines would forbid."
        )
    else:
        lines += [
            *(["PrivateUsers=yes"] if not capabilities else []),
            "ProtectKernelLogs=yes",
            "ProtectKernelTunables=yes",
            "ProtectProc=invisible",
            "RestrictNamespaces=yes",
            "SystemCallFilter=@system-service",
            "SystemCallFilter=~@privileged",
            "SystemCallErrorNumber=EPERM",
        ]
    if service.has_engine:
        lines.append(
            "# An engine may need a GPU, which is a device, and writes code of its own for a processor."
        )
    else:
        lines += ["PrivateDevices=yes", "DevicePolicy=closed", "MemoryDenyWriteExecute=yes"]
    return lines


def _argument(word: str) -> str:
    """A word of a command line, without its ``$`` expansions."""
    return _word(word.replace("$", "$$"))


def _word(text: str) -> str:
    """A word of a list, as systemd splits them: quoted, without its ``%`` expansions."""
    text = _escaped(text)
    if text and not any(sign.isspace() or sign in "\"'\\;" for sign in text):
        return text
    return _quoted(text)


def _line(path: str) -> str:
    """A path that is the whole value, which systemd does not unquote. Raises `ConfigError` for one that it would read
    as another: spaces at its ends are cut off, and a backslash at its end joins the next line."""
    if path != path.strip() or path.endswith("\\"):
        raise ConfigError(
            f"{path!r} begins or ends with a space, or ends with a backslash: systemd cannot be told of it",
            hint="give the project's folder another name",
        )
    return _escaped(path)


def _assignment(name: str, value: str) -> str:
    return _quoted(f"{name}={_escaped(value)}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _file_name(name: str) -> str:
    """A project's name as part of a file's."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "-" for sign in name)
