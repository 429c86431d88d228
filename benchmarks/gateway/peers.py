"""The gateways that are measured, as commands: one before the plain upstream, one before the streaming one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from measure import PLAIN, PORT, STREAMS

UPSTREAM_CONF = """
worker_processes 1; pid {folder}/u.pid; error_log {folder}/u.err; daemon off;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; client_max_body_size 200m; client_body_buffer_size 64k;
server {{ listen 127.0.0.1:9500 backlog=1024; location / {{
default_type application/json; return 200 '{answer}'; }} }} }}
"""
_PROXY_CONF = """
worker_processes 1; pid {folder}/p.pid; error_log {folder}/p.err; daemon off;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; client_max_body_size 200m;
upstream u {{ server 127.0.0.1:{upstream}; keepalive 1024; }}
server {{ listen 127.0.0.1:9511 backlog=1024; location / {{ proxy_pass http://u; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""
_LITELLM_CONF = """
model_list:
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "http://127.0.0.1:{upstream}/v1", api_key: none}}
general_settings: {{master_key: fh-benchmark}}
litellm_settings: {{telemetry: false}}
"""
# Servers and clients, each once with the best of the other kind.
_BARE = (
    ("own", "own"),
    ("granian-rsgi", "own"),
    ("uvicorn", "own"),
    ("granian-rsgi", "pyreqwest"),
    ("granian-asgi", "pyreqwest"),
    ("uvicorn", "pyreqwest"),
    ("hypercorn", "pyreqwest"),
    ("granian-rsgi", "aiohttp"),
    ("granian-rsgi", "httpx"),
)


class Peer(NamedTuple):
    """`extra` are lines for wrk's script, where PORT stands for the upstream's."""

    name: str
    plain: list[str]
    streamed: list[str]
    extra: str = ""


def python(name: str, *words: str) -> Peer:
    """A Python program; UPSTREAM in its words is the upstream's address."""
    plain, streamed = (
        [sys.executable, *(word.replace("UPSTREAM", f"http://127.0.0.1:{port}") for word in words)]
        for port in (PLAIN, STREAMS)
    )
    return Peer(name, plain, streamed)


def nginx(folder: str) -> Peer:
    """nginx as a reverse proxy."""
    for name, upstream in (("plain", PLAIN), ("streams", STREAMS)):
        (Path(folder) / f"{name}.conf").write_text(_PROXY_CONF.format(folder=folder, upstream=upstream))
    return Peer("nginx", ["nginx", "-c", f"{folder}/plain.conf"], ["nginx", "-c", f"{folder}/streams.conf"])


def product(folder: str) -> Peer:
    """freehold's gateway as it ships."""
    return python("**freehold: keys, route, capture, metrics**", "product.py", str(PORT), "UPSTREAM", folder)


def litellm(folder: str, environment: str) -> Peer:
    """LiteLLM's proxy from the environment where it is installed, with one key, everything else as it comes."""
    commands = []
    for upstream in (PLAIN, STREAMS):
        config = Path(folder) / f"litellm-{upstream}.yaml"
        config.write_text(_LITELLM_CONF.format(upstream=upstream))
        # The list of prices comes with the package; nothing is fetched.
        command = [
            "env",
            "LITELLM_LOCAL_MODEL_COST_MAP=True",
            f"{environment}/bin/litellm",
            "--config",
            str(config),
        ]
        commands.append([*command, "--host", "127.0.0.1", "--port", str(PORT), "--num_workers", "1"])
    return Peer("LiteLLM proxy: one key", *commands)


def all_peers(folder: str, portkey: str | None, litellm_environment: str | None = None) -> list[Peer]:
    """Every gateway, nginx first."""
    found = [nginx(folder), product(folder)]
    for server, client in _BARE:
        name = f"bare pass-through: {server}, {client}"
        found.append(python(name, "passthrough.py", server, client, str(PORT), "UPSTREAM"))
    found.append(python("FastAPI + httpx", "fastapi_httpx.py", str(PORT), "UPSTREAM"))
    if portkey is not None:
        command = ["node", f"{portkey}/node_modules/@portkey-ai/gateway/build/start-server.js", "--headless"]
        command += [f"--port={PORT}"]
        extra = 'wrk.headers["x-portkey-provider"] = "openai"\nwrk.headers["x-portkey-custom-host"] = '
        found.append(
            Peer("`@portkey-ai/gateway` on Node", command, command, extra + '"http://127.0.0.1:PORT/v1"')
        )
    if litellm_environment is not None:
        found.append(litellm(folder, litellm_environment))
    return found
