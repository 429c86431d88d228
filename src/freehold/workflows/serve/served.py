"""`freehold served`: look at a running server, and change what it serves without a restart."""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from typing import Any

import msgspec

from freehold.engines.pool.control import PREFIX, AddBody, Served, StatusBody
from freehold.engines.pool.pool import ModelStatus
from freehold.errors import EngineError, UsageError
from freehold.workflows.project import Project
from freehold.workflows.serve import servers
from freehold.workflows.serve.mounts import mount

LOAD_SECONDS = 1800.0
LISTED_SECONDS = 10.0


def status(project: Project, *, port: int | None = None) -> tuple[Served, tuple[ModelStatus, ...]]:
    """The project's running server and its models. Raises `UsageError` when nothing is served."""
    server = servers.only(project.state / "engines", port=port)
    return server, _call(server, "GET", "/models")


def add_adapter(
    project: Project, text: str, *, model: str | None = None, port: int | None = None
) -> tuple[str, tuple[ModelStatus, ...]]:
    """Serve an adapter (``NAME=PATH``) of a running model under its name, and return the name.

    `model` is the base (default: the one NAME begins with, else the only one). Raises `UsageError`, and
    `EngineError` when it is an adapter for other weights: all stays as it was then.
    """
    server, models = status(project, port=port)
    if model is None:
        name = text.partition("=")[0]
        owners = [one.model for one in models if name.startswith(f"{one.model}:")]
        if not owners and len(models) > 1:
            raise UsageError(
                f"several models are served, and {name} does not say which it belongs to",
                hint=f"--model {models[0].model}, or name it {models[0].model}:{name}",
            )
        model = owners[0] if owners else models[0].model
    mounting = mount(text, _model(models, model))
    changed = _call(server, "POST", "/adapters", AddBody(model=_model(models, model), mount=mounting))
    _until_listed(server, mounting.name, present=True)
    return mounting.name, changed


def remove_adapter(project: Project, name: str, *, port: int | None = None) -> tuple[ModelStatus, ...]:
    """Serve an adapter no longer; requests for it that are under way finish."""
    server, models = status(project, port=port)
    known = [adapter for one in models for adapter in one.adapters]
    matching = [one for one in known if name in (one, one.rpartition(":")[2])]
    if len(matching) != 1:
        raise UsageError(
            f"{name} names {'no adapter' if not matching else 'several adapters'} served here",
            hint=f"served: {', '.join(known) or 'none'}",
        )
    changed = _call(server, "DELETE", f"/adapters/{urllib.parse.quote(matching[0], safe='')}")
    _until_listed(server, matching[0], present=False)
    return changed


def _model(models: tuple[ModelStatus, ...], name: str) -> str:
    for one in models:
        if name.lower() in (one.model.lower(), one.model.lower().rpartition("/")[2]):
            return one.model
    raise UsageError(f"{name} is not served here", hint=f"served: {', '.join(one.model for one in models)}")


def _call(server: Served, method: str, path: str, body: Any = None) -> tuple[ModelStatus, ...]:
    data = msgspec.json.encode(body) if body is not None else None
    headers = {"authorization": f"Bearer {server.token}"}
    status, answer = _request(f"{server.control_url}{PREFIX}{path}", method, data, headers)
    if status != 200:
        try:
            error = json.loads(answer)["error"]
            message, hint = str(error["message"]), error.get("hint")
        except (ValueError, KeyError, TypeError, AttributeError):
            message, hint = f"the server answered {status}", None
        raise EngineError(message, hint=hint)
    return msgspec.json.decode(answer, type=StatusBody).models


def _until_listed(server: Served, name: str, *, present: bool) -> None:
    """Return when the address that clients use lists the change, which takes up to half a second."""
    deadline = time.monotonic() + LISTED_SECONDS
    while time.monotonic() < deadline:
        status, answer = _request(f"{server.url}/v1/models", "GET", None, {})
        if status != 200:  # it wants a key; the change has reached it all the same
            time.sleep(1.0)
            return
        listed = any(one.get("id") == name for one in json.loads(answer).get("data", ()))
        if listed == present:
            return
        time.sleep(0.05)


def _request(url: str, method: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LOAD_SECONDS)
    try:
        connection.request(method, parts.path, body=data, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    except OSError as error:
        raise EngineError(
            f"the server at {url} does not answer: {error}", hint="is freehold serve still running?"
        ) from None
    finally:
        connection.close()
