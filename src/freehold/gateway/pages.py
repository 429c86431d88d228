"""What a gateway answers itself: health, the models it serves, attributions, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from freehold.gateway.child_process import recorder_lives
from freehold.gateway.config import to_json
from freehold.gateway.http.health import Health
from freehold.gateway.http.request import Request
from freehold.gateway.limits.keys import check_may, check_scope
from freehold.gateway.proxy.passed import listed_elsewhere
from freehold.gateway.proxy.paths import spelled_out
from freehold.gateway.proxy.routing import RouteTable, decide, targets_in_turn
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import API_ROUTES
from freehold.gateway.telemetry import meters
from freehold.gateway.telemetry.exposition import answering, standing
from freehold.types.endpoint import ANY_MODEL
from freehold.types.route import ApiKey, Route, Target
from freehold.wire import anthropic
from freehold.wire.errors import ApiError, HttpReply

Page = Callable[[WorkerState, Request], Awaitable[HttpReply]]
MODEL_PREFIX = "/v1/models/"
_JSON = [("content-type", "application/json")]
_TEXT = [("content-type", "text/plain; charset=utf-8")]
_METRICS = [("content-type", "text/plain; version=0.0.4; charset=utf-8")]
_LOOKS = ("GET", "HEAD")
_PROBE_WAITS_S = 1.0
"""A probe of this process does not wait longer for what other hosts say."""


def is_others(table: RouteTable, method: str, path: str) -> bool:
    """Whether a path (`spelled_out`) is for the endpoint that others go to, if there is one, not answered here."""
    if path.startswith(MODEL_PREFIX):
        is_own = (
            method in _LOOKS and urllib.parse.unquote(path.removeprefix(MODEL_PREFIX)) in table.model_names()
        )
        return table.others is not None and not is_own
    if path in API_ROUTES:
        return table.others is not None
    return path not in PAGES


def find_page(method: str, path: str) -> Page | None:
    """The page at a path; None where there is none, or it does not have the method."""
    if method not in _LOOKS:
        return None
    return model if path.startswith(MODEL_PREFIX) else PAGES.get(path)


def methods_at(path: str) -> str:
    """The methods that a path which is answered here has, as an Allow header lists them."""
    return "POST" if path in API_ROUTES else ", ".join(_LOOKS)


async def health(_state: WorkerState, _request: Request) -> HttpReply:
    """The process is alive."""
    return HttpReply(200, _JSON, b'{"status":"ok"}')


async def front(_state: WorkerState, _request: Request) -> HttpReply:
    """For people who open the address."""
    text = b"freehold is running. Ask under /v1 (OpenAI, Anthropic).\n"
    return HttpReply(200, _TEXT, text)


async def ready(state: WorkerState, request: Request) -> HttpReply:
    """This process can answer: keys can be checked, the recorder lives, and an engine where there is nothing else.
    503 where not.

    Of other hosts it does not speak: what they do is the same for every gateway, and all of them would be taken out at
    once. Where keys are in force, what is the matter is told only to a key that may look.
    """
    now = await _readiness(state)
    body: dict[str, Any] = {"status": "ready" if now.is_ready else "not ready"}
    with contextlib.suppress(ApiError):
        _check_look(state, request)
        found = await state.health.all(state.table.endpoints.values(), wait_s=_PROBE_WAITS_S)
        body["endpoints"] = {name: one.answers for name, one in found.items()}
        if matters := {name: one.why for name, one in found.items() if one.why}:
            body["why"] = matters
        if unready := unanswered(state.table.all_routes(), found):
            body["unanswered_routes"] = unready
        body["keys"] = now.keys
        if now.recorder_lives is not None:
            body["recorder"] = "alive" if now.recorder_lives else "silent"
    return HttpReply(200 if now.is_ready else 503, _JSON, msgspec.json.encode(body))


class _Readiness(NamedTuple):
    """What decides whether a gateway is ready. `recorder_lives` is None where there is none."""

    is_ready: bool
    keys: str
    recorder_lives: bool | None


async def _readiness(state: WorkerState) -> _Readiness:
    keys = "unavailable" if state.keys.problem is not None else "starting" if state.keys.waiting else "known"
    recorder = None if state.spool is None else recorder_lives(state.run_folder)
    is_ready = keys == "known" and recorder is not False
    endpoints = state.table.endpoints.values()
    if is_ready and not any(one.engine_kind.is_rented for one in endpoints):
        # Engines next to this gateway are part of it where nothing else answers.
        found = await state.health.all(endpoints, wait_s=_PROBE_WAITS_S)
        is_ready = any(one.answers for one in found.values())
    return _Readiness(is_ready, keys, recorder)


async def models(state: WorkerState, request: Request) -> HttpReply:
    """The names a client may ask for, those included that are passed on."""
    key = _check_key(state, request)
    listed = [_listed_model(state, name, request) for name in _names(state, key)]
    if key is None or not (key.models or key.routes):
        elsewhere = await listed_elsewhere(state, request)
        known = {one["id"] for one in elsewhere}
        listed = [*elsewhere, *(one for one in listed if one["id"] not in known)]
    if request.header("anthropic-version"):
        page = anthropic.listed_models(listed, urllib.parse.parse_qs(request.query_string))
        return HttpReply(200, _JSON, msgspec.json.encode(page))
    return HttpReply(200, _JSON, msgspec.json.encode({"object": "list", "data": listed}))


async def model(state: WorkerState, request: Request) -> HttpReply:
    """One of these names. Raises `ApiError` (404) for others, unless an endpoint takes any name."""
    key = _check_key(state, request)
    path = spelled_out(request.path, state.table.others)
    name = urllib.parse.unquote(path.removeprefix(MODEL_PREFIX))
    _check_model(state, name, key)
    return HttpReply(200, _JSON, msgspec.json.encode(_listed_model(state, name, request)))


async def attribution(state: WorkerState, request: Request) -> HttpReply:
    """What the licences of the served models require to be shown, to print next to their answers."""
    _check_key(state, request)
    return HttpReply(200, _TEXT, "\n".join(state.config.attributions.values()).encode())


async def metrics(state: WorkerState, request: Request) -> HttpReply:
    """The numbers of all workers, in Prometheus's text format. They name routes, endpoints and keys that spend, so
    where keys are in force a key that may look is needed. How the endpoints are is asked now."""
    _check_look(state, request)
    ready_now = await _readiness(state)
    found = await state.health.all(state.table.endpoints.values())
    state.write_meters()

    def exposed() -> bytes:
        from freehold.gateway.telemetry.exposition import exposition

        now = standing(
            state.table.all_routes(),
            state.keys.keys,
            state.keys.labels.values(),
            spent=state.limiter.spent,
            rollbacks=state.rollbacks,
            config_version=hashlib.sha256(to_json(state.config)).hexdigest()[:12],
            config_since_s=state.config_since_s,
        )
        if ready_now.recorder_lives is not None:
            now.gauges["freehold_recorder_alive"] = float(ready_now.recorder_lives)
        certificate = None
        if (shown := state.certificate) is not None and shown.expires_s is not None:
            certificate = (shown.files.certificate, shown.expires_s)
        ends = answering(
            state.table.endpoints.values(),
            {name: one.answers for name, one in found.items()},
            unanswered(state.table.all_routes(), found),
            routes=state.table.all_routes(),
            rented={name for name in state.table.endpoints if state.config.charges(name)},
            is_ready=ready_now.is_ready,
            certificate=certificate,
        )
        return exposition([*meters.read_all(state.run_folder), now, ends])

    return HttpReply(200, _METRICS, await asyncio.to_thread(exposed))


def _check_look(state: WorkerState, request: Request) -> None:
    key = state.keys.admit(request.header)
    check_may(key, "look")


def _check_key(state: WorkerState, request: Request) -> ApiKey | None:
    return state.keys.admit(request.header)


def _names(state: WorkerState, key: ApiKey | None) -> list[str]:
    """What the key may ask for: one that is made for some models or routes is not told of the others."""
    names = state.table.model_names()
    if key is None:
        return names
    if key.models:
        names = [name for name in names if name in key.models]
    if key.routes:
        routes = state.table.routes
        own = {model for model, same in routes.items() if any(route.name in key.routes for route in same)}
        names = [name for name in names if (name if name in routes else ANY_MODEL) in own]
    return names


def _check_model(state: WorkerState, name: str, key: ApiKey | None) -> None:
    if name not in _names(state, key):
        if key is not None:
            check_scope(key, name, None)
        state.table.direct(name)


def _listed_model(state: WorkerState, name: str, request: Request) -> dict[str, Any]:
    if request.header("anthropic-version"):
        return anthropic.listed_model(name, state.started_at)
    return {"id": name, "object": "model", "created": state.started_at, "owned_by": "freehold"}


PAGES: dict[str, Page] = {
    "/": front,
    "/health": health,
    "/ready": ready,
    "/v1/models": models,
    "/attribution": attribution,
    "/metrics": metrics,
}


def unanswered(routes: Iterable[Route], found: Mapping[str, Health]) -> dict[str, str]:
    """The routes some of whose requests no endpoint would answer now, each with what is the matter."""
    told = {}
    for route in routes:
        for chain in _chains(route):
            names = [one.endpoint for one in chain]
            if not any(found[name].answers for name in names if name in found):
                missing = Health(False, "it is not configured")
                told[route.name] = "; ".join(
                    f"{name}: {found.get(name, missing).why}" for name in dict.fromkeys(names)
                )
                break
    return told


def _chains(route: Route) -> list[list[Target]]:
    """Whom each kind of a route's requests is put to, in turn."""
    # The draws of a request that goes to the candidate, and of one that does not, where the route has both.
    decisions = [decide(route, None, draw) for draw in (0.0, 1 - 2**-53)]
    chains = [targets_in_turn(route, one) for one in decisions]
    if route.deferral is not None and any(one.arm == "candidate" for one in decisions):
        # What the candidate is not sure of.
        chains.append([route.incumbent, *route.fallback])
    return chains
