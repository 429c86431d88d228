"""A project's gateway as a service manager or a proxy is told of it."""

from __future__ import annotations

from freehold.types.record import Record


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
