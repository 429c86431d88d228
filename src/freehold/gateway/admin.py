"""The small API to look at and change a running gateway, and to say what an answer should have been.

``GET  /freehold/v1/routes``                 all routes in force
``GET  /freehold/v1/routes/NAME/history``    who changed it, when, why, from which verdict
``PUT  /freehold/v1/routes/NAME``            ``{"route": {…}, "why": "…", "verdict_id": …, "expected_revision": …}``
``DELETE /freehold/v1/routes/NAME?why=…``    remove a route from the store
``GET  /freehold/v1/keys``                    and changes of keys: `admin_keys`
``POST /freehold/v1/feedback``               ``{"trace_id": "…", "thumb": "up"|"down", "gold": "…", "comment": "…"}``

To look at routes needs a key of the role ``read`` or above it, to change them ``operate`` or ``admin``, to manage keys
``admin``. Feedback belongs to the key that the trace was made with, where keys are in force; ``admin`` may give it to
any. The store is opened in a thread, on the first request: these are the only requests of a worker that reach it.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from freehold.errors import ConfigError, RevisionError, StorageError
from freehold.gateway import admin_keys
from freehold.gateway.capture.redaction import redactor_of
from freehold.gateway.config import GatewayConfig, check_apart, check_route, check_rule
from freehold.gateway.http.request import Request
from freehold.gateway.limits.keys import KeyRing, check_may
from freehold.types.audit import WHY_LENGTH_MAX, change_source, change_why
from freehold.types.record import Record
from freehold.types.route import ApiKey, Permission, Route
from freehold.types.trace import Trace
from freehold.wire.errors import ApiError, HttpReply

if TYPE_CHECKING:
    from freehold.store import Store

PREFIX = "/freehold/v1/"
_BODY_MAX = 1024 * 1024
# A trace is written a moment after its answer; feedback may be quicker.
_TRACE_WAIT_S = 2.0
_TRACE_POLL_S = 0.2
_RECENT_S = 10.0
_WAITING_MAX = 32
_ID_LENGTH = 36
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
        self._waiting = 0

    async def __call__(
        self, request: Request, config: GatewayConfig, keys: KeyRing, routes: list[Route]
    ) -> HttpReply:
        """Raises `ApiError` and `ClientDisconnect`. `config`, `keys` and `routes` are those in force."""
        key = keys.check(request.header("authorization"), request.header("x-api-key"))
        change_source.set(f"gateway, {request.peer()}")
        why = urllib.parse.parse_qs(request.query_string).get("why", [""])[0]
        change_why.set(why[:WHY_LENGTH_MAX])
        parts = [urllib.parse.unquote(part) for part in request.path.removeprefix(PREFIX).split("/")]
        match (request.method, *parts):
            case ("POST", "feedback"):
                body = _parsed(await request.body(_BODY_MAX), FeedbackBody)
                return await self._feedback(config, body, key)
            case ("GET", "routes"):
                _named(key, "look")
                return _json(200, {"routes": routes})
            case ("GET", "routes", name, "history"):
                _named(key, "look")
                return await asyncio.to_thread(self._history, config, name)
            case ("PUT", "routes", name):
                who = _named(key, "change").name
                change = _parsed(await request.body(_BODY_MAX), RouteBody)
                return await asyncio.to_thread(self._save, config, name, change, who)
            case ("DELETE", "routes", name):
                who = _named(key, "change").name
                return await asyncio.to_thread(self._delete, config, name, who, why)
            case ("GET", "keys"):
                _named(key, "keys")
                return await asyncio.to_thread(self._stored, config, admin_keys.listed)
            case ("POST", "keys"):
                by = _named(key, "keys")
                wanted = _parsed(await request.body(_BODY_MAX), admin_keys.KeyBody)
                return await asyncio.to_thread(
                    self._stored, config, lambda store: admin_keys.add(store, config, wanted, by)
                )
            case ("PUT", "keys", name, "limits"):
                by = _named(key, "keys")
                limits = _parsed(await request.body(_BODY_MAX), admin_keys.KeyLimits)
                return await asyncio.to_thread(
                    self._stored, config, lambda store: admin_keys.limit(store, name, limits, by)
                )
            case ("DELETE", "keys", name):
                by = _named(key, "keys")
                return await asyncio.to_thread(
                    self._stored, config, lambda store: admin_keys.revoke(store, name, by)
                )
        raise ApiError(404, "nothing is served here", code="unknown_url")

    def _stored(self, config: GatewayConfig, act: Callable[[Store], HttpReply]) -> HttpReply:
        try:
            return act(self._opened(config))
        except StorageError as error:
            raise _unavailable(error) from None

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
            check_rule(route, config.endpoints)
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

    async def _feedback(self, config: GatewayConfig, body: FeedbackBody, key: ApiKey | None) -> HttpReply:
        deadline = time.monotonic() + _TRACE_WAIT_S
        while (trace := await asyncio.to_thread(self._trace, config, body.trace_id)) is None:
            # Only a trace that was made a moment ago may still come, and a bounded number of requests may wait:
            # none holds a thread meanwhile.
            if self._waiting >= _WAITING_MAX or time.monotonic() > deadline or not _is_recent(body.trace_id):
                raise _unknown_trace()
            self._waiting += 1
            try:
                await asyncio.sleep(_TRACE_POLL_S)
            finally:
                self._waiting -= 1
        # To another key it is as unknown as one that does not exist.
        if key is not None and key.role != "admin" and trace.api_key != key.name:
            raise _unknown_trace()
        return await asyncio.to_thread(self._join, config, trace, body, None if key is None else key.name)

    def _trace(self, config: GatewayConfig, trace_id: str) -> Trace | None:
        try:
            return self._opened(config).get_trace(trace_id)
        except StorageError as error:
            raise _unavailable(error) from None

    def _join(
        self, config: GatewayConfig, trace: Trace, body: FeedbackBody, key_name: str | None
    ) -> HttpReply:
        clean = redactor_of(config.capture) or str
        feedback: dict[str, Any] = {"at": datetime.now(UTC).isoformat()}
        if key_name is not None:
            feedback["key"] = key_name
        if body.thumb is not None:
            feedback["thumb"] = body.thumb
        if body.comment is not None:
            feedback["comment"] = clean(body.comment)
        changes: dict[str, Any] = {"metadata": {**trace.metadata, "feedback": feedback}}
        if body.gold is not None:
            changes["gold"] = clean(body.gold)
        try:
            self._opened(config).replace_trace(msgspec.structs.replace(trace, **changes))
        except StorageError as error:
            raise _unavailable(error) from None
        return _json(200, {"trace_id": body.trace_id, "kept": True})


def _named(key: ApiKey | None, what: Permission) -> ApiKey:
    """A key that may do this. Raises `ApiError` (403), also where no key is in force."""
    if key is None:
        raise ApiError(403, "this needs a key: freehold keys add NAME --role operate", code="not_allowed")
    check_may(key, what)
    return key


def _is_recent(trace_id: str) -> bool:
    """Whether an id was made a moment ago: the gateway's ids begin with their time."""
    try:
        made_s = int(trace_id.replace("-", "")[:12], 16) / 1000
    except ValueError:
        return False
    return len(trace_id) == _ID_LENGTH and abs(time.time() - made_s) < _RECENT_S


def _unknown_trace() -> ApiError:
    return ApiError(404, "no trace has this id", code="unknown_trace", param="trace_id")


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
