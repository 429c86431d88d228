"""Which ``Host`` a server answers to: a page whose name was pointed at this machine (DNS rebinding) names its own.

Accepted: every IP address, because a page's name cannot be one; ``localhost`` and the machine's own name; the names
that were said. A request without the header is accepted: every browser sends one.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

from freehold.errors import ConfigError

ANY_HOST = "*"
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_HEADER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+)(?::([0-9]{1,5}))?")
_KNOWN_MAX = 1024


def check_host_names(names: Iterable[str]) -> None:
    """Raises `ConfigError` for what is not a host's name: with a scheme, a port or a path, say."""
    for name in names:
        if name != ANY_HOST and not _NAME.fullmatch(name.lower().removeprefix("*.")):
            raise ConfigError(
                f"{name!r} is not the name of a host",
                hint="a name without scheme and port: models.example.com, *.example.com, or * for any",
            )


class HostPolicy:
    """The names a server answers to. `said` are those of its configuration, ``*.example.com`` for all below one.

    With a `port`, names that were not said, and addresses, are accepted with that port only.
    """

    __slots__ = ("_own", "_port", "_said", "_suffixes", "known", "says")

    def __init__(
        self, said: Iterable[str] = (), *, listens: str = "127.0.0.1", port: int | None = None
    ) -> None:
        names = [name.lower() for name in said]
        self.says = bool(names)
        """Whether names were said."""
        self.known: set[str | None] = {None}
        """Headers as they came that were accepted before."""
        self._own = {"localhost", listens.lower(), socket.gethostname().lower()}
        self._said = frozenset(names)
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._port = port

    def accepts(self, host: str | None) -> bool:
        """Whether a request with this header is for this server."""
        if host in self.known:
            return True
        accepted = host is not None and self._accepts(host)
        if accepted and len(self.known) < _KNOWN_MAX:
            self.known.add(host)
        return accepted

    def _accepts(self, host: str) -> bool:
        parts = _HEADER.fullmatch(host)
        if parts is None:
            return False
        name = parts[1].lower().removesuffix(".")
        if ANY_HOST in self._said or name in self._said or (self._suffixes and name.endswith(self._suffixes)):
            return True
        if self._port is not None and int(parts[2] or 80) != self._port:
            return False
        return name in self._own or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") else name)
    except ValueError:
        return False
    return True
