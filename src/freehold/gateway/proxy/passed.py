"""Pass on what no route, endpoint or page here answers: other paths of the incumbent's API, byte by byte.

Covered: bodies up to the longest that is accepted, answers of any length in bounded memory, binary ones included; keys
of this gateway with their roles and limits; counting. Not covered: WebSockets; reading it (no trace is kept of
it, its tokens and dollars are not counted: a key under such a limit may only look), tries again (the endpoint may have
acted), redirects (neither followed nor passed on).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from freehold.gateway.http.headers import response_headers
from freehold.gateway.http.request import ClientDisconnect, Headers, Request
from freehold.gateway.http.response import TransportError, UpstreamResponse
from freehold.gateway.http.upstreams import UpstreamFailure
from freehold.gateway.limits.keys import check_may
from freehold.gateway.proxy.paths import check_lent, path_class, place_at, unknown
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX
from freehold.gateway.proxy.relay import ARM_HEADER, REQUEST_HEADER
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.telemetry.request_log import RequestSummary
from freehold.types.endpoint import Api, Endpoint
from freehold.types.record import event_id
from freehold.types.route import ApiKey
from freehold.types.trace import Completeness
from freehold.wire.base_url import target
from freehold.wire.errors import ApiError, redirect_refused, request_id_header
from freehold.wire.responses import OWN_RESPONSE_PATH, not_stored, without_own_ids

_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))
_LOOKING = frozenset(("GET", "DELETE"))
_HOW = '[incumbent] others = "pass" in freehold.toml passes it on'


class _Passed:
    """One request on its way."""

    def __init__(self, request: Request, path: str) -> None:
        self.request = request
        self.kind = path_class(path)
        self.at_ms = int(time.time() * 1000)
        self.id = event_id(self.at_ms)
        self.started_s = time.perf_counter()
        self.first_s: float | None = None
        self.status = 0
        self.completeness: Completeness = "complete"
        self.key: ApiKey | None = None
        self.is_refused = False


async def pass_on(state: WorkerState, request: Request, path: str) -> None:
    """Pass a request on to the endpoint that others go to, and its answer back. `path` is as it is spelled out.

    Raises `ApiError` for what is not passed on or gets no answer, and `ClientDisconnect`.
    """
    endpoint = state.table.others
    if OWN_RESPONSE_PATH.search(path) is not None:
        raise not_stored(404)
    if endpoint is None:
        has_incumbent = any(one.forward_client_key for one in state.table.endpoints.values())
        raise unknown(request.path, _HOW if has_incumbent else "there is no incumbent to pass it on to")
    passed = _Passed(request, path)
    key = passed.key = state.keys.admit(request.header)
    place = place_at(endpoint, path, request.path, speaks=_spoken(request))
    if request.method not in _METHODS:
        raise ApiError(405, f"{request.method} is not passed on", allow=", ".join(sorted(_METHODS)))
    # Without keys there is one client, and what it left with the vendor is its own.
    check_lent(endpoint, request.method, path, stored=key is None or key.may("keys"))
    _check_key(state, passed, key)
    if request.query_string:
        keys_here = state.keys.required
        place = state.upstreams.with_query(endpoint, place, request.query_string, keys_here=keys_here)
    release = await state.limiter.admit([] if key is None else state.keys.limits_of(key))
    state.meters.in_flight += 1
    request.cancel_on_disconnect = True
    try:
        await _exchange(state, endpoint, place, passed)
    except (asyncio.CancelledError, ClientDisconnect):
        if not request.disconnected:
            raise
        passed.completeness = "client_aborted"
        state.meters.count("freehold_client_aborts", "")
    except ApiError:
        passed.is_refused = True
        raise
    except UpstreamFailure as failure:
        passed.is_refused = True
        passed.status = failure.status
        state.meters.count("freehold_upstream_failures", endpoint.name, failure.kind)
        raise ApiError(failure.status, str(failure), code=failure.code) from None
    finally:
        request.cancel_on_disconnect = False
        state.meters.in_flight -= 1
        release()
        _count(state, endpoint, passed)


def _spoken(request: Request) -> Api:
    """The API whose client asks, as its headers tell."""
    return "anthropic" if request.header("anthropic-version") else "openai"


def _check_key(state: WorkerState, passed: _Passed, key: ApiKey | None) -> None:
    """Raises `ApiError` (403, 429) for a key that may not have this passed on."""
    check_may(key, "ask")
    if key is None:
        return
    what = f"{passed.request.path[:200]} is passed on unread"
    if key.models or key.routes:
        raise ApiError(
            403, f"this key is made for some models or routes only, and {what}", code="not_passed_on"
        )
    counted = any(limits.counts_tokens for _, limits in state.keys.limits_of(key))
    if counted and passed.request.method not in _LOOKING:
        raise ApiError(
            429,
            f"this key has a limit of tokens or dollars, and {what}, so neither can be counted",
            code="not_countable",
            type="insufficient_quota",
        )


async def _exchange(state: WorkerState, endpoint: Endpoint, place: str, passed: _Passed) -> None:
    request = passed.request
    headers = state.upstreams.request_headers(
        endpoint, request.headers, pass_credentials=not state.keys.required, compressed=True
    )
    if endpoint.dialect == "gemini" and endpoint.api_key_env is not None and "/openai/" not in place:
        # Google's own paths expect its key in a header of their own.
        headers = [
            ("x-goog-api-key", value.removeprefix("Bearer ")) if name == "authorization" else (name, value)
            for name, value in headers
        ]
    has_body = request.header("transfer-encoding") is not None or request.header("content-length") is not None
    body = None
    if has_body or request.method not in _LOOKING:
        body = await request.body(state.config.largest_body_bytes)
    if passed.kind == "responses" and body is not None and len(body) <= INLINE_BYTES_MAX:
        with contextlib.suppress(msgspec.MsgspecError):  # what cannot be read names no answer
            body = without_own_ids(body)
    response = await state.upstreams.pass_on(endpoint, request.method, place, headers, body)
    try:
        await _answer(endpoint, response, passed)
    finally:
        response.close()


async def _answer(endpoint: Endpoint, response: UpstreamResponse, passed: _Passed) -> None:
    """Send an answer on as it comes. Raises `ApiError` for a redirect."""
    request = passed.request
    passed.status = response.status
    if 300 <= response.status < 400 and response.status != 304:
        raise redirect_refused(endpoint.name)
    headers = _returned(response_headers(response), passed, endpoint)
    request.start_response(response.status, headers)
    try:
        await response.relay(_ClientSide(passed))
    except TransportError:
        passed.completeness = "upstream_cut"
        request.abort_response()


def _returned(headers: Headers, passed: _Passed, endpoint: Endpoint) -> Headers:
    returned = [*headers, ("server", "freehold"), (REQUEST_HEADER, passed.id)]
    usual = request_id_header(endpoint.api)
    if all(name != usual for name, _ in headers):
        returned.append((usual, passed.id))
    if passed.request.header(ARM_HEADER) != "off":
        returned.append((ARM_HEADER, "incumbent"))
    return returned


class _ClientSide:
    """Takes the pieces of an answer."""

    def __init__(self, passed: _Passed) -> None:
        self._passed = passed
        self._request = passed.request
        self.drain = passed.request.drain

    @property
    def is_full(self) -> bool:
        return self._request.is_full

    def pass_on(self, _data: bytes) -> bool:
        return False

    def write(self, chunks: list[bytes]) -> bool:
        if self._passed.first_s is None:
            self._passed.first_s = time.perf_counter()
        self._request.send(chunks)
        return True


def _count(state: WorkerState, endpoint: Endpoint, passed: _Passed) -> None:
    """Count what was passed on, and hand it to the request log."""
    status, ended_s = passed.status, time.perf_counter()
    state.meters.count("freehold_passed_on", endpoint.name, passed.kind, str(status))
    if status:
        first_s = None if passed.first_s is None else passed.first_s - passed.started_s
        key = "" if passed.key is None else state.meters.key_label(passed.key.name)
        state.meters.count_answer(
            "", endpoint.name, "incumbent", status, first_s, ended_s - passed.started_s, "", key
        )
    if not passed.is_refused:
        _tell(
            state,
            passed.request,
            id=passed.id,
            at_ms=passed.at_ms,
            api=endpoint.api,
            kind=passed.kind,
            status=status,
            total_ms=round((ended_s - passed.started_s) * 1000, 3),
            completeness=passed.completeness,
            endpoint=endpoint.name,
            key=None if passed.key is None else passed.key.name,
        )


def report_refusal(
    state: WorkerState, request: Request, path: str, failure: ApiError, *, request_id: str
) -> None:
    """Count a request that is refused, by the kind of its path, and hand it to the request log."""
    kind, code = path_class(path), failure.code or str(failure.status)
    state.meters.count("freehold_refusals", code, kind)
    at_ms = int(time.time() * 1000)
    _tell(state, request, id=request_id, at_ms=at_ms, kind=kind, status=failure.status, code=code)


def _tell(state: WorkerState, request: Request, **told: Any) -> None:
    if state.reporter is not None:
        values: dict[str, Any] = {
            "api": "openai",
            "model": "",
            "total_ms": 0.0,
            "path": request.path[:200],
        } | told
        traceparent = request.header("traceparent")
        state.reporter.add(RequestSummary(method=request.method, traceparent=traceparent, **values))


_WITHIN_S = 5.0
_PAGE = ("limit", "after_id", "before_id")


async def listed_elsewhere(state: WorkerState, request: Request) -> list[dict[str, Any]]:
    """Its models as it lists them, asked as this client; none where it does not answer, or in another API."""
    endpoint = state.table.others
    if endpoint is None or endpoint.api != _spoken(request):
        return []
    place = target(endpoint.base_url, "/v1/models", api=endpoint.api)
    query = request.query_string
    if endpoint.api == "anthropic":
        # All of it: the page that the client asked for is cut from both lists.
        pairs = parse_qsl(query, keep_blank_values=True)
        query = urlencode([*(one for one in pairs if one[0] not in _PAGE), ("limit", "1000")])
    if query:
        keys_here = state.keys.required
        place = state.upstreams.with_query(endpoint, place, query, keys_here=keys_here)
    try:
        headers = state.upstreams.request_headers(
            endpoint, request.headers, pass_credentials=not state.keys.required
        )
        status, body = await state.upstreams.ask(endpoint, place, headers, None, within_s=_WITHIN_S)
    except UpstreamFailure:
        return []
    return _listed(body) if status == 200 else []


def _listed(body: bytes) -> list[dict[str, Any]]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return []
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        return []
    return [one for one in rows if isinstance(one, dict) and isinstance(one.get("id"), str)]
