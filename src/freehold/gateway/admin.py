"""The small API to look at and change a running gateway, and to say what an answer should have been.

``GET  /freehold/v1/routes``                 all routes in force
``GET  /freehold/v1/routes/NAME/history``    who changed it, when, why, from which verdict
``PUT  /freehold/v1/routes/NAME``            ``{"route": {…}, "why": "…", "verdict_id": …, "expected_revision": …}``
``DELETE /freehold/v1/routes/NAME?why=…``    remove a route from the store
``POST /freehold/v1/feedback``               ``{"trace_id": "…", "thumb": "up"|"down", "gold": "…", "comment": "…"}``

Routes need a key marked as admin; feedback needs any key, where keys are in force. The store is opened in
a thread, on the first request: these are the only requests of a worker that reach it.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from freehold.errors import ConfigError, RevisionError, StorageError
from freehold.gateway.capture.redaction import redactor_of
from freehold.gateway.config import GatewayConfig, check_apart, check_route
from freehold.gateway.http.request import Request
from freehold.gateway.limits.keys import KeyRing
from freehold.types.record import Record
from freehold.types.route import ApiKey, Route
from freehold.wire.errors import ApiError, HttpReply

if TYPE_CHECKING:
    from freehold.store import Store

PREFIX = "/freehold/v1/"
_BODY_MAX = 1024 * 1024
# A trace is written a moment after its answer; feedback may be quicker.
_TRACE_WAIT_S = 2.0
_JSON = [("content-type", "application/json")]


class RouteBody(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What PUT takes."""

    route: dict[str, Any]
    why: str = ""
    verdict_id: str | None = None
    expected_revision: int | None = None


class FeedbackBody(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user's opinion of an answer; `gold` is the right one."""

    trace_id: str
    thumb: Literal["up", "down"] | None = None
    gold: str | None = None
    comment: str | None = None


class Admin:
    """Answers the paths above."""

    def __init__(self) -> None:
        self._store: Store | None = None

    async def __call__(
        self, request: Request, config: GatewayConfig, keys: KeyRing, routes: list[Route]
    ) -> HttpReply:
        """Raises `ApiError` and `ClientDisconnect`. `config`, `keys` and `routes` are those in force."""
        key = keys.check(request.header("authorization"), request.header("x-api-key"))
        parts = [urllib.parse.unquote(part) for part in request.path.removeprefix(PREFIX).split("/")]
        match (request.method, *parts):
            case ("POST", "feedback"):
                body = _parsed(await request.body(_BODY_MAX), FeedbackBody)
                return await asyncio.to_thread(self._feedback, config, body)
            case ("GET", "routes"):
                self._admin(key)
                return _json(200, {"routes": routes})
            case ("GET", "routes", name, "history"):
                self._admin(key)
                return await asyncio.to_thread(self._history, config, name)
            case ("PUT", "routes", name):
                who = self._admin(key)
                change = _parsed(await request.body(_BODY_MAX), RouteBody)
                return await asyncio.to_thread(self._save, config, name, change, who)
            case ("DELETE", "routes", name):
                who = self._admin(key)
                why = urllib.parse.parse_qs(request.query_string).get("why", [""])[0]
                return await asyncio.to_thread(self._delete, config, name, who, why)
        raise ApiError(404, "nothing is served here", code="unknown_url")

    def _admin(self, key: ApiKey | None) -> str:
        if key is None or not key.admin:
            raise ApiError(403, "this needs a key marked as admin", code="not_admin")
        return key.name

    def _opened(self, config: GatewayConfig) -> Store:
        if self._store is None:
            if config.store_url is None:
                raise ApiError(409, "this gateway runs without a store", code="no_store")
            from freehold.store import open_store

            try:
                self._store = open_store(config.store_url, busy_timeout_ms=2000)
            except StorageError as error:
                raise _unavailable(error) from None
        return self._store

    def _save(self, config: GatewayConfig, name: str, change: RouteBody, who: str) -> HttpReply:
        try:
            route = msgspec.convert({**change.route, "name": name}, type=Route)
            if unknown := _unknown(change.route, msgspec.to_builtins(route)):
                raise ConfigError(f"a route has no field {unknown}")
            check_route(route, [endpoint.name for endpoint in config.endpoints])
        except (msgspec.ValidationError, ConfigError) as error:
            raise ApiError(400, str(error), param="route") from None
        try:
            check_apart(route, self._opened(config).routes())
            saved = self._opened(config).save_route(
                route,
                who=who,
                at=datetime.now(UTC),
                why=change.why,
                verdict_id=change.verdict_id,
                expected_revision=change.expected_revision,
            )
        except ConfigError as error:
            raise ApiError(409, str(error), code="same_requests", param="route") from None
        except RevisionError as error:
            raise ApiError(409, error.message, code="changed_meanwhile") from None
        except StorageError as error:
            raise _unavailable(error) from None
        return _json(200, saved)

    def _delete(self, config: GatewayConfig, name: str, who: str, why: str) -> HttpReply:
        try:
            if not self._opened(config).delete_route(name, who=who, at=datetime.now(UTC), why=why):
                raise ApiError(404, f"the store has no route {name[:100]}")
        except StorageError as error:
            raise _unavailable(error) from None
        return _json(200, {"deleted": name})

    def _history(self, config: GatewayConfig, name: str) -> HttpReply:
        try:
            return _json(200, {"history": self._opened(config).route_history(name)})
        except StorageError as error:
            raise _unavailable(error) from None

    def _feedback(self, config: GatewayConfig, body: FeedbackBody) -> HttpReply:
        store = self._opened(config)
        deadline = time.monotonic() + _TRACE_WAIT_S
        clean = redactor_of(config.capture) or str
        try:
            while (trace := store.get_trace(body.trace_id)) is None:
                if time.monotonic() > deadline:
                    raise ApiError(404, "no trace has this id", code="unknown_trace", param="trace_id")
                time.sleep(0.1)
            feedback: dict[str, Any] = {"at": datetime.now(UTC).isoformat()}
            if body.thumb is not None:
                feedback["thumb"] = body.thumb
            if body.comment is not None:
                feedback["comment"] = clean(body.comment)
            changes: dict[str, Any] = {"metadata": {**trace.metadata, "feedback": feedback}}
            if body.gold is not None:
                changes["gold"] = clean(body.gold)
            store.replace_trace(msgspec.structs.replace(trace, **changes))
        except StorageError as error:
            raise _unavailable(error) from None
        return _json(200, {"trace_id": body.trace_id, "kept": True})


def _parsed(body: bytes, type: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.DecodeError as error:
        raise ApiError(400, str(error)) from None


def _unknown(given: dict[str, Any], known: dict[str, Any]) -> str | None:
    """The first field that would be ignored: a misspelt name must not become a default."""
    for name, value in given.items():
        if name not in known:
            return str(name)[:100]
        # Names that clients choose freely.
        if name in ("match_headers", "options"):
            continue
        if isinstance(value, dict) and isinstance(known[name], dict):
            inner = _unknown(value, known[name])
            if inner is not None:
                return f"{name}.{inner}"
    return None


def _unavailable(error: StorageError) -> ApiError:
    return ApiError(503, error.message, code="store_unavailable", retry_after_s=2)


def _json(status: int, value: Any) -> HttpReply:
    return HttpReply(status, _JSON, msgspec.json.encode(value))
