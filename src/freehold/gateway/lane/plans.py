"""What the short way knows by bytes that repeat: a client's head, what becomes of a model behind it, and the head of an
endpoint's answer.

Bytes are known once a strict parser has read exactly these. Ways and plans are made of the routes and keys in force by
the functions that the long way asks, and hold for these only.
"""

from __future__ import annotations

import math
import re
from collections import deque
from typing import Any

import msgspec

from freehold.gateway.capture.spool import Spool
from freehold.gateway.http.health import CircuitBreaker
from freehold.gateway.http.request import STATUS_LINES, ClientTransport, Headers, Request
from freehold.gateway.http.response import FREE_BYTES, UpstreamResponse
from freehold.gateway.http.upstream_client import UpstreamConnection
from freehold.gateway.http.upstreams import UpstreamFailure
from freehold.gateway.limits.keys import check_scope
from freehold.gateway.proxy.forward import admitted_key, is_capturing, limits_of
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX, UpstreamBody, is_sent_as_it_came
from freehold.gateway.proxy.relay import client_headers, model_name_told, upstream_id
from freehold.gateway.proxy.routing import targets_in_turn
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import API_ROUTES, ApiRoute, translation_for
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, Limits, Route, RouteDecision
from freehold.wire.errors import ApiError
from freehold.wire.openai import Peek

HEAD_BYTES_MAX = 4096
_KINDS = frozenset(("chat", "completions", "embeddings", "messages"))
_HEADS_BYTES_MAX, _WAYS_MAX, _ANSWERS_MAX = 1024 * 1024, 64, 64
# What every reader of HTTP reads alike: one line for each header, no byte but printable ASCII.
_PLAIN_HEAD = re.compile(rb"POST /[\x21-\x7e]* HTTP/1\.1(?:\r\n[A-Za-z0-9_-]+:[\x20-\x7e]*)+")
_PLAIN_ANSWER = re.compile(rb"HTTP/1\.1 200 [\x20-\x7e]*(?:\r\n[A-Za-z0-9_-]+:[\x20-\x7e]*)+")


class ClientHead(msgspec.Struct, eq=False):
    """A client's head as the parser of the long way read it, the length of the body aside."""

    api_route: ApiRoute
    headers: Headers
    first_values: dict[str, str]
    keep_alive: bool
    ways: dict[str, Way | None] = {}

    def way(self, state: WorkerState, model: str) -> Way | None:
        """What is known of requests for a model; None where they are the long way's matter."""
        try:
            return self.ways[model]
        except KeyError:
            pass
        if len(self.ways) >= _WAYS_MAX:
            self.ways.clear()
        try:
            way = _way_of(state, self, model)
        except ApiError:
            way = None  # the long way says why
        self.ways[model] = way
        return way

    def request(self, transport: ClientTransport, length: bytes, body: bytes) -> Request:
        """The request as the parser would make it."""
        said = length.decode()
        headers = [(name, said if name == "content-length" else value) for name, value in self.headers]
        first_values = {**self.first_values, "content-length": said}
        request = Request(
            transport,
            "POST",
            self.api_route.path,
            "",
            headers,
            first_values,
            keep_alive=self.keep_alive,
        )
        request.feed_data(body)
        request.feed_eof()
        return request


class AnswerHead(msgspec.Struct, frozen=True):
    """The head of an answer as the client gets it, in `pieces` around the id of its request."""

    pieces: tuple[bytes, ...]
    body_bytes: int
    content_encoding: str | None
    upstream_id: str | None


class Way(msgspec.Struct, eq=False, kw_only=True):
    """What is known of requests of one head and model, whichever arm they are sent to."""

    head: ClientHead
    until_s: float
    """When the key expires."""
    model: str
    key: ApiKey | None
    route: Route | None
    decision: RouteDecision | None
    """None where each request is decided on."""
    rated: list[tuple[str, Limits]]
    limits_tokens: bool
    model_label: str
    key_label: str
    user: str | None
    session: str | None
    tells_arm: bool
    capturing: bool
    spool: Spool | None
    """None where no trace is kept."""
    plans: dict[str, Plan | None] = {}

    def plan(self, state: WorkerState, decision: RouteDecision) -> Plan | None:
        """How the arm that was decided on is asked; None where that is the long way's matter."""
        try:
            return self.plans[decision.arm]
        except KeyError:
            pass
        try:
            plan = _plan_of(state, self, decision)
        except (ApiError, UpstreamFailure):
            plan = None
        self.plans[decision.arm] = plan
        return plan


class Plan(msgspec.Struct, eq=False, kw_only=True):
    """How an endpoint is asked for requests of one way. `start` is its head up to the length of the body; `how` says
    what a body is made into, None where it goes as it came; `last`, that no other endpoint could answer instead."""

    way: Way
    arm: str
    endpoint: Endpoint
    upstream_model: str
    idle: deque[UpstreamConnection]
    start: bytes
    how: UpstreamBody | None
    body_bytes_max: int
    breaker: CircuitBreaker
    last: bool
    sends_as_it_came: bool
    """Whatever is asked for."""
    answers: dict[bytes, AnswerHead] = {}
    seen: bytes = b""
    """The head of an answer that was seen last. Vendors' are all different: what comes twice may come again."""


class Heads:
    """The heads that a worker knows; all are forgotten when they fill their room, and with the routes or keys that they
    were looked up in."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._table, self._keys = state.table, state.keys
        self._known: dict[bytes, ClientHead] = {}
        self._bytes = 0

    def find(self, same: bytes) -> ClientHead | None:
        """A head by its bytes without the digits of its length."""
        state = self._state
        if self._table is not state.table or self._keys is not state.keys:
            self._table, self._keys = state.table, state.keys
            self._known.clear()
            self._bytes = 0
        return self._known.get(same)

    def learn(self, same: bytes, raw: bytes, request: Request) -> None:
        """The parser has read a head: `raw` as it came, `same` without the digits of the length."""
        api_route = API_ROUTES.get(request.path)
        if (
            api_route is None
            or api_route.kind not in _KINDS
            or request.method != "POST"
            or request.query_string
            or not request.supports_chunks
            or request.expects_continue
            or "transfer-encoding" in request.first_values
            or sum(name == "content-length" for name, _ in request.headers) != 1
            or not _PLAIN_HEAD.fullmatch(raw)
            or raw.count(b"\r\n") != len(request.headers)
        ):
            return
        self._bytes += 4 * len(same)
        if self._bytes > _HEADS_BYTES_MAX:
            self._known.clear()
            self._bytes = 4 * len(same)
        self._known[same] = ClientHead(api_route, request.headers, request.first_values, request.keep_alive)


def _way_of(state: WorkerState, head: ClientHead, model: str) -> Way | None:
    header, table = head.first_values.get, state.table
    key = admitted_key(state, header)
    route = table.find(model, header, None if key is None else key.name)
    if key is not None and (key.models or key.routes):
        check_scope(key, model, None if route is None else route.name)
    decision = table.direct(model, head.api_route.api) if route is None else table.settled.get(route.name)
    limited = limits_of(state, key, route)
    if state.reporter is not None or any(
        limits.concurrency is not None or limits.caps_spending for _, limits in limited
    ):
        return None
    if route is not None and (
        route.deferral is not None or route.first_byte_ms is not None or route.state == "shadow"
    ):
        return None
    capturing = is_capturing(state, header)
    return Way(
        head=head,
        until_s=math.inf if key is None or key.expires_at is None else key.expires_at.timestamp(),
        model=model,
        key=key,
        route=route,
        decision=decision,
        rated=[one for one in limited if one[1].counts_rates],
        limits_tokens=any(limits.tokens_per_minute is not None for _, limits in limited),
        model_label=state.meters.model_label(model),
        key_label="" if key is None else state.meters.key_label(key.name),
        user=header("x-freehold-user") or None,
        session=header("x-freehold-session"),
        tells_arm=header("x-freehold-arm") != "off",
        capturing=capturing,
        spool=state.spool if capturing else None,
    )


def _plan_of(state: WorkerState, way: Way, decision: RouteDecision) -> Plan | None:
    head, model, route = way.head, way.model, way.route
    targets = targets_in_turn(route, decision)
    last = len(targets) == 1
    endpoint = state.table.endpoints.get(decision.target.endpoint)
    if endpoint is None or endpoint.credentials is not None:
        return None
    upstream_model = decision.target.model or model
    served = endpoint.served(upstream_model)
    if (
        translation_for(head.api_route, endpoint) is not None
        or (served is not None and served.preparation is not None)
        or model_name_told(endpoint, model, routed=route is not None) is not None
    ):
        return None
    how = None
    if not is_sent_as_it_came(endpoint, upstream_model, Peek(model=model), None):
        how = UpstreamBody(
            head.api_route.path, endpoint, decision.target, model, model, route is not None,
            stream=False, stream_options=b"", asks_usage=False,
        )  # fmt: skip
    headers = state.upstreams.request_headers(
        endpoint,
        head.headers,
        pass_credentials=not state.keys.required,
        compressed=last and decision.arm == "incumbent",
    )
    most = min(INLINE_BYTES_MAX, state.config.largest_body_bytes)
    if endpoint.engine_kind.cuts_prompts:
        most = min(most, endpoint.context_tokens or most)
    return Plan(
        way=way,
        arm=decision.arm,
        endpoint=endpoint,
        upstream_model=upstream_model,
        idle=state.upstreams.idle(endpoint),
        start=state.upstreams.start_of_post(endpoint, head.api_route.path, headers),
        how=how,
        body_bytes_max=most,
        breaker=state.breaker(endpoint.name),
        last=last,
        sends_as_it_came=how is None and decision.arm == "incumbent",
    )


def answer_head(plan: Plan, response: UpstreamResponse, body_bytes: int) -> AnswerHead:
    """A whole answer's head for the client, as `relay` and `Request.respond` would write it."""
    mark = "\0"
    way = plan.way
    headers = client_headers(
        response, way.head.api_route, mark, arm=plan.arm if way.tells_arm else None, traced=way.capturing
    )
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers if name != "content-length"])
    whole = STATUS_LINES[response.status] + lines.encode("latin-1", "replace")
    pieces = (whole + b"content-length: %d\r\n" % body_bytes).split(mark.encode())
    said = upstream_id(response) if way.capturing else None
    return AnswerHead(tuple(pieces), body_bytes, response.header("content-encoding"), said)


def note_answer(plan: Plan, raw: bytes, response: UpstreamResponse, head: AnswerHead) -> None:
    """The parser has read an answer whose head, `raw`, came in one piece: it may come again."""
    if raw != plan.seen:
        plan.seen = raw
    elif _PLAIN_ANSWER.fullmatch(raw) and raw.count(b"\r\n") == len(response.headers):
        if len(plan.answers) >= _ANSWERS_MAX:
            plan.answers.clear()
        plan.answers[raw] = head


def is_whole(response: UpstreamResponse) -> bool:
    """Whether a response is an ordinary answer in one piece; all others are the long way's."""
    length: Any = response.header("content-length")
    return (
        response.status == 200
        and length is not None
        and length.isdecimal()
        and int(length) <= FREE_BYTES
        and response.header("transfer-encoding") is None
        and not response.is_stream
    )
