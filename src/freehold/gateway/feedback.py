"""What a user thinks of an answer, and what it should have been.

``POST /freehold/v1/feedback``    ``{"trace_id": "…", "thumb": "up"|"down", "gold": "…", "comment": "…"}``

Feedback belongs to the key that the trace was made with, where keys are in force; ``admin`` may give it to any. The
store is opened in a thread, on the first request: these are the only requests of a worker that reach it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from freehold.errors import StorageError
from freehold.gateway.capture.redaction import redactor_of
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.request import Request
from freehold.gateway.limits.keys import KeyRing
from freehold.types.record import Record
from freehold.types.route import ApiKey
from freehold.types.trace import Trace
from freehold.wire.errors import ApiError, HttpReply

if TYPE_CHECKING:
    from freehold.store import Store

PREFIX = "/freehold/v1/"
PATH = f"{PREFIX}feedback"
_BODY_MAX = 1024 * 1024
# A trace is written a moment after its answer; feedback may be quicker.
_TRACE_WAIT_S = 2.0
_TRACE_POLL_S = 0.2
_RECENT_S = 10.0
_WAITING_MAX = 32
_ID_LENGTH = 36
_JSON = [("content-type", "application/json")]


class FeedbackBody(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user's opinion of an answer; `gold` is the right one."""

    trace_id: str
    thumb: Literal["up", "down"] | None = None
    gold: str | None = None
    comment: str | None = None


class FeedbackHandler:
    """Answers that path."""

    def __init__(self) -> None:
        self._store: Store | None = None
        self._waiting = 0

    async def __call__(self, request: Request, config: GatewayConfig, keys: KeyRing) -> HttpReply:
        """Raises `ApiError` and `ClientDisconnect`. `config` and `keys` are those in force."""
        key = keys.admit(request.header)
        if request.method != "POST" or request.path != PATH:
            raise ApiError(404, "nothing is served here", code="unknown_url")
        try:
            body = msgspec.json.decode(await request.body(_BODY_MAX), type=FeedbackBody)
        except msgspec.DecodeError as error:
            raise ApiError(400, str(error)) from None
        return await self._feedback(config, body, key)

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


def _is_recent(trace_id: str) -> bool:
    """Whether an id was made a moment ago: the gateway's ids begin with their time."""
    try:
        made_s = int(trace_id.replace("-", "")[:12], 16) / 1000
    except ValueError:
        return False
    return len(trace_id) == _ID_LENGTH and abs(time.time() - made_s) < _RECENT_S


def _unknown_trace() -> ApiError:
    return ApiError(404, "no trace has this id", code="unknown_trace", param="trace_id")


def _unavailable(error: StorageError) -> ApiError:
    return ApiError(503, error.message, code="store_unavailable", retry_after_s=2)


def _json(status: int, value: Any) -> HttpReply:
    return HttpReply(status, _JSON, msgspec.json.encode(value))
