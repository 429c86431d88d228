"""nginx and Caddy in front of one gateway or several: TLS, streams without delay, large bodies, long answers.

Directives: https://nginx.org/en/docs/http/ngx_http_proxy_module.html and
https://caddyserver.com/docs/caddyfile/directives/reverse_proxy (read 2026-11-29).
"""

from __future__ import annotations

import math

from freehold.errors import ConfigError
from freehold.visible import MIB
from freehold.workflows.shift.deployment.service import GatewayService

IDLE_CONNECTIONS = 64
"""Connections that nginx keeps open to the gateways of a group."""
_NGINX_EXPANDS = "$"
_CADDY_EXPANDS = "{}\\"
"""Placeholders, and a backslash, which stays in a quoted word as it stands."""


def nginx(service: GatewayService) -> str:
    """A server block, and with several gateways the group they are. Raises `ConfigError`."""
    several = len(service.upstreams) > 1
    first = service.names[0]
    certificate = service.certificate or f"/etc/ssl/{first}/fullchain.pem"
    key = service.certificate_key or f"/etc/ssl/{first}/key.pem"
    seconds = math.ceil(service.read_timeout_seconds)
    group = (
        [
            "upstream freehold {",
            "    least_conn;",
            *(f"    server {address} max_fails=1 fail_timeout=5s;" for address in service.upstreams),
            f"    keepalive {IDLE_CONNECTIONS};",
            "}",
            "",
        ]
        if several
        else []
    )
    return _text(
        [
            f"# Made by freehold up --render nginx for {service.name}. For /etc/nginx/conf.d; then nginx -t.",
            *group,
            "server {",
            "    listen 443 ssl;",
            f"    server_name {' '.join(service.names)};",
            f"    ssl_certificate     {_quoted(certificate, _NGINX_EXPANDS)};",
            f"    ssl_certificate_key {_quoted(key, _NGINX_EXPANDS)};",
            "",
            f"    client_max_body_size {math.ceil(service.max_body_bytes / MIB)}m;",
            "    location / {",
            f"        proxy_pass http://{'freehold' if several else service.upstreams[0]};",
            "        proxy_http_version 1.1;",
            '        proxy_set_header Connection "";',
            "        proxy_set_header Host $host;",
            "        # Chunks of a stream go on as they come.",
            "        proxy_buffering off;",
            "        proxy_request_buffering off;",
            f"        proxy_read_timeout {seconds}s;",
            f"        proxy_send_timeout {seconds}s;",
            "    }",
            "}",
        ]
    )


def caddy(service: GatewayService) -> str:
    """A site, with the certificate that was named, else one that Caddy fetches and renews. Raises `ConfigError`."""
    several = len(service.upstreams) > 1
    key = service.certificate_key or ""
    tls = (
        [f"\ttls {' '.join(_quoted(path, _CADDY_EXPANDS) for path in (service.certificate, key))}"]
        if service.certificate is not None
        else []
    )
    balance = (
        [
            "\t\tlb_policy least_conn",
            "\t\t# Another gateway is asked only where none has been reached: no request is paid for twice.",
            "\t\tlb_try_duration 5s",
            "\t\tfail_duration 5s",
            "\t\thealth_uri /health",
            "\t\thealth_interval 2s",
            "\t\thealth_timeout 5s",
        ]
        if several
        else []
    )
    return _text(
        [
            f"# Made by freehold up --render caddy for {service.name}. Check it with caddy validate.",
            f"{', '.join(service.names)} {{",
            *tls,
            "\trequest_body {",
            f"\t\tmax_size {math.ceil(service.max_body_bytes / MIB)}MiB",
            "\t}",
            f"\treverse_proxy {' '.join(service.upstreams)} {{",
            *balance,
            "\t\t# Chunks of a stream go on as they come.",
            "\t\tflush_interval -1",
            "\t\ttransport http {",
            f"\t\t\tresponse_header_timeout {math.ceil(service.read_timeout_seconds)}s",
            "\t\t}",
            "\t}",
            "}",
        ]
    )


def _quoted(path: str, unsayable: str) -> str:
    """A path as both programs read it, quoted where it has to be. Raises `ConfigError` for one with a sign that the
    program reads as something else, quoted or not."""
    if found := sorted(set(path) & set(unsayable)):
        raise ConfigError(
            f"{path!r} has {' and '.join(found)}, which the proxy's configuration cannot say",
            hint="give the file a name without it",
        )
    if all(sign.isalnum() or sign in "/._-+@" for sign in path):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
