"""Ports of engines: on loopback, checked before a child is started on them."""

from __future__ import annotations

import errno
import ipaddress
import socket

from freehold.errors import PortInUseError, UsageError


def claim(host: str, port: int) -> int:
    """`port` when it is free, or any free one for 0. Raises `PortInUseError`, `UsageError` for a host that is not this
    machine's, or a port that needs root.

    The port is not held: binding it later may fail, and the caller then asks again.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do, so that a port in TIME_WAIT counts as free; one that is listened on does not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(host, port) from None
            raise UsageError(f"cannot listen on {host}: {error.strerror}") from None
        except (TypeError, UnicodeError):  # letters that no name of a host has
            raise UsageError(f"cannot listen on {host}: not the name of a host") from None
        chosen: int = probe.getsockname()[1]
        return chosen


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(host: str, what: str) -> None:
    """Raise `UsageError` unless `host` is a loopback address: the gateway has TLS, limits and clients' keys."""
    if not is_loopback(host):
        raise UsageError(
            f"{what} would listen on {host}, where other machines can reach it past the gateway",
            hint="leave engines on 127.0.0.1 and open the gateway instead: freehold up --host",
        )
