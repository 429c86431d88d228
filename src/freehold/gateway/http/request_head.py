"""The head of a request to an endpoint on plain HTTP, and which addresses can be asked so."""

from __future__ import annotations

import os
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from freehold.gateway.http.plain_client import Address
from freehold.types.endpoint import Endpoint


def plain_address(base_url: str) -> Address | None:
    """Where to connect for an address on plain HTTP; None where TLS, a password or a proxy is in between."""
    parts = urlsplit(base_url)
    host = parts.hostname
    if parts.scheme != "http" or host is None or parts.username is not None:
        return None
    return None if is_behind_a_proxy(base_url) else Address(host, parts.port or 80)


def is_behind_a_proxy(address: str) -> bool:
    """Whether the environment names a proxy for an address."""
    parts = urlsplit(address)
    if not any(name.lower() == f"{parts.scheme}_proxy" for name in os.environ):
        return False
    # Late, because few need it and it is heavy.
    from urllib.request import getproxies, proxy_bypass

    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def password_of(origin: str) -> list[tuple[str, str]]:
    """A name and a password in an address, as a header."""
    said = urlsplit(origin).netloc.rpartition("@")[0]
    return [("authorization", f"Basic {b64encode(unquote(said).encode()).decode()}")] if said else []


def request_line(endpoint: Endpoint, place: str) -> bytes:
    """The first line of a request without its method, and the host it names."""
    host = urlsplit(endpoint.base_url).netloc.rpartition("@")[2]
    return f"{place} HTTP/1.1\r\nhost: {host}\r\n".encode()


def request_head(method: str, start: bytes, headers: list[tuple[str, str]], body: bytes | None) -> bytes:
    """The head of a request with a whole body, or without one."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")
    length = b"" if body is None else b"content-length: %d\r\n" % len(body)
    return b"%b %b%b%b\r\n" % (method.encode(), start, lines, length)
