"""A client's connection that tries the short way with each request, and goes the long way with those that it does not
know: the same connection, whose deadlines and drain hold for both.

A request is tried only where the one before is over and nothing was sent ahead. Until the endpoint is asked, nothing
was acted on, and the same bytes go to the parser.

What comes from the endpoint and is not an ordinary whole answer goes to the long way as the outcome of its first try:
it then retries, tells the error, falls back or streams, as it does with what it asked for itself.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import msgspec

from freehold.gateway import deadlines
from freehold.gateway.http.connection import Connection
from freehold.gateway.http.request import Began, ConnectionHost, FirstTry, Request
from freehold.gateway.http.response import RemoteProtocolError, TransportError, UpstreamResponse
from freehold.gateway.http.upstream_client import UpstreamConnection
from freehold.gateway.lane.plans import (
    HEAD_BYTES_MAX,
    AnswerHead,
    ClientHead,
    Heads,
    Plan,
    Way,
    answer_head,
    is_whole,
    note_answer,
)
from freehold.gateway.limits.limiter import Admission
from freehold.gateway.messages import CapturedExchange
from freehold.gateway.proxy.exchange import tokens_used
from freehold.gateway.proxy.forward import (
    assignment_key,
    count_left_candidate,
    hash_key,
    names_no_user,
    note_without_user,
    text_or_none,
)
from freehold.gateway.proxy.reading import upstream_body
from freehold.gateway.proxy.routing import decide
from freehold.gateway.proxy.spend import most_tokens
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.structured_output import contract_of
from freehold.types.record import event_id
from freehold.types.route import RouteDecision
from freehold.wire.errors import ApiError, is_only_error, unambiguous
from freehold.wire.openai import Peek, peek

_LENGTH, _LENGTH_TOO = b"\r\nContent-Length: ", b"\r\ncontent-length: "
_DIGITS_MAX = 7


class _Waiting:
    """A head has come, and its body is on its way."""

    cancel_on_disconnect = False

    def header(self, _name: str) -> None:
        return

    def connection_lost(self) -> None:
        return


_WAITING = _Waiting()


class LaneConnection(Connection):
    """One client's connection."""

    __slots__ = ("_draw", "_heads", "_state", "_waiting")

    def __init__(self, state: WorkerState, heads: Heads, server: ConnectionHost) -> None:
        super().__init__(server)
        self._state = state
        self._heads = heads
        self._waiting = b""
        self._draw: float | None = None

    def data_received(self, data: bytes) -> None:
        waited = self._waiting
        if waited:
            data, self._waiting, self.current = waited + data, b"", None
        if not self.is_between_requests:
            super().data_received(data)
            return
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
        at = data.find(_LENGTH, 0, max(end, 0))
        if at < 0:
            at = data.find(_LENGTH_TOO, 0, max(end, 0))
        if at < 0:
            super().data_received(data)
            return
        at += len(_LENGTH)
        stop = data.find(b"\r", at)
        same, length = data[:at] + data[stop:end], data[at:stop]
        head = self._heads.find(same)
        if head is None:
            super().data_received(data)
            if isinstance(self.current, Request):
                self._heads.learn(same, data[:end], self.current)
        elif not length.isdigit() or len(length) > _DIGITS_MAX:
            super().data_received(data)
        elif len(data) == end + 4 and not waited and int(length):
            # Many clients send a body by itself: it is on its way.
            self._waiting, self.current, self._in_head = data, _WAITING, False
            self._since_s = self._body_since_s = self.server.loop.time()
        elif not self._tries(head, length, data[end + 4 :]):
            super().data_received(data)
            draw, self._draw = self._draw, None
            if draw is not None and isinstance(self.current, Request):
                at_ms = int(time.time() * 1000)
                self.current.began = Began(event_id(at_ms), at_ms, time.perf_counter(), draw)

    def _tries(self, head: ClientHead, length: bytes, body: bytes) -> bool:
        """Ask the endpoint; False where this is not the short way's request, and nothing was done."""
        started_s = time.perf_counter()
        state = self._state
        if len(body) != int(length) or self.server.draining:
            return False
        try:
            seen = peek(body)
        except ApiError:
            return False
        if not seen.model or seen.stream is True or unambiguous(body) is not body:
            return False
        way = head.way(state, seen.model)
        at_ms = int(time.time() * 1000)
        if way is None or at_ms >= way.until_s * 1000:
            return False
        user = way.user
        if user is None and (seen.user is not None or seen.safety_identifier is not None):
            user = text_or_none(seen.user) or text_or_none(seen.safety_identifier)
        decision, route, key = way.decision, way.route, None
        if decision is None:
            assert route is not None
            self._draw = state.draw()
            key = assignment_key(route, head.first_values.get, user, body)
            decision = decide(route, key, self._draw)
        plan = None if decision.shadow is not None else way.plan(state, decision)
        if plan is None or len(body) > plan.body_bytes_max:
            return False
        if not plan.last and plan.breaker.open_since_s is not None:
            return False  # passed over
        sent = body if plan.sends_as_it_came else _sent(plan, seen, body)
        if sent is None:
            return False
        upstream = _waiting_at(plan)
        if upstream is None:
            return False
        held_bytes = len(body) if sent is body else len(body) + len(sent)
        admitted, admission = self._admit(way, body, held_bytes)
        if not admitted:
            plan.idle.append(upstream)
            return False
        if route is not None and way.decision is None and names_no_user(route, user):
            note_without_user(state, route.name)
        state.meters.in_flight += 1
        self._in_head = False
        self._since_s = self._body_since_s = self.server.loop.time()
        draw, self._draw = self._draw, None
        self.current = exchange = LaneExchange(
            state=state,
            client=self,
            plan=plan,
            decision=decision,
            length=length,
            body=body,
            user=user,
            assignment_key=None if route is None or key is None else hash_key(route.name, key),
            draw=draw,
            admission=admission,
            held_bytes=held_bytes,
            at_ms=at_ms,
            id=event_id(at_ms),
            started_s=started_s,
            asked_s=time.perf_counter(),
            upstream=upstream,
        )
        if plan.arm == "candidate" and route is not None:
            state.meters.candidates_requests[exchange.id] = (route.name, started_s)
        upstream.ask(b"%b%d\r\n\r\n%b" % (plan.start, len(sent), sent), exchange)
        return True

    def _admit(self, way: Way, body: bytes, held_bytes: int) -> tuple[bool, Admission | None]:
        """Whether there is room for a body, and limits let its request in."""
        state = self._state
        if not state.memory.take(held_bytes):
            return False, None
        if not way.rated:
            return True, None
        tokens = most_tokens(way.head.api_route.kind, body) if way.limits_tokens else 0
        try:
            return True, state.limiter.admit_now(way.rated, tokens=tokens)
        except (ApiError, OSError):
            state.memory.give(held_bytes)
            return False, None

    # The exchange's side

    def answer(self, before: bytes, body: bytes) -> None:
        """Send an answer, whose head lacks its end, and go on with the next request."""
        exchange, self.current = self.current, None
        assert isinstance(exchange, LaneExchange)
        server = self.server
        closes = not exchange.plan.way.head.keep_alive or (server.draining and not self._pipelined)
        more = b"connection: close\r\n" if closes else b""
        self.write(b"%b%bdate: %b\r\n\r\n%b" % (before, more, server.date, body))
        if closes:
            self._transport.close()
        elif self._pipelined or self._reading_paused or server.draining:
            self.go_on()
        else:
            self._since_s = server.loop.time()

    def go_the_long_way(self, head: ClientHead, length: bytes, body: bytes) -> Request:
        """Have the request answered by the long way, from its beginning."""
        request = head.request(self, length, body)
        self._start(request)
        return request

    # Deadlines

    def is_overdue(self, now_s: float) -> bool:
        if self._waiting:
            return now_s - self._since_s > deadlines.BODY_STALLS_S
        return super().is_overdue(now_s)


def _waiting_at(plan: Plan) -> UpstreamConnection | None:
    """An open connection to the endpoint; None where there is none, and the long way opens one."""
    idle = plan.idle
    while idle:
        upstream = idle.pop()
        if not upstream.transport.is_closing():
            return upstream
    return None


def _sent(plan: Plan, seen: Peek, body: bytes) -> bytes | None:
    """The body as the endpoint is sent it; None where the long way has something to say to it, or to its answer."""
    if plan.arm == "candidate" and contract_of(plan.way.head.api_route.kind, body, seen) is not None:
        return None
    if plan.how is None:
        return body
    if b'"json_schema"' in body or b'"tool_choice"' in body:
        return None  # an engine may break it
    try:
        _, (changed,) = upstream_body(plan.how, body)
    except ApiError:
        return None
    return changed or body


class LaneExchange(msgspec.Struct, eq=False, kw_only=True):
    """`length` and `body` are the client's, `held_bytes` what is held of the worker's memory for it."""

    state: WorkerState
    client: LaneConnection
    plan: Plan
    decision: RouteDecision
    length: bytes
    body: bytes
    user: str | None
    assignment_key: str | None
    draw: float | None
    admission: Admission | None
    held_bytes: int
    at_ms: int
    id: str
    started_s: float
    asked_s: float
    upstream: UpstreamConnection
    raw: bytes = b""
    is_over: bool = False
    cancel_on_disconnect: bool = True

    # The endpoint's side

    def take(self, data: bytes) -> UpstreamResponse | None:
        """The first bytes of the answer: all of it, or what is to go on with by the parser."""
        end = data.find(b"\r\n\r\n")
        head = self.plan.answers.get(data[:end])
        if head is not None and len(data) - end - 4 == head.body_bytes:
            body = data[end + 4 :]
            if self.plan.last or not is_only_error(body):
                self.answer(head, body)
                return None
        self.raw = data[:end] if end >= 0 else b""
        return _WatchedResponse(self)

    def set_exception(self, error: TransportError) -> None:
        """There will be no answer. Nothing of it came."""
        if isinstance(error, RemoteProtocolError) and not self.upstream.heard_anything:
            # The endpoint closed a connection while it waited, and this request crossed with that.
            self._leave(None)
        else:
            self._leave(error)

    def took(self, response: _WatchedResponse) -> bool:
        """The parser has read more of an answer. Whether that is still this exchange's matter."""
        if self.is_over:
            return False
        if not is_whole(response):
            self._leave(response)
            return False
        if response.has_ended:
            if not self.plan.last and is_only_error(response.beginning):
                self._leave(response)
                return False
            body = response.whole()
            head = answer_head(self.plan, response, len(body))
            if self.raw and self.upstream.keeps:
                note_answer(self.plan, self.raw, response, head)
            self.answer(head, body)
        return True

    def failed(self, response: _WatchedResponse, error: TransportError) -> None:
        """An answer broke off."""
        self._leave(response if response.status else error)

    def answer(self, head: AnswerHead, body: bytes) -> None:
        """Keep the trace, then send the answer. A worker that is killed later has answered nothing that is not kept."""
        plan, state, first_s = self.plan, self.state, time.perf_counter()
        way = plan.way
        self._end()
        plan.breaker.record_success()
        if self.admission is not None and way.limits_tokens:
            self.admission.settle(tokens_used(self.body, [body], len(body), plan.endpoint.api))
        if way.spool is not None:
            way.spool.offer(self._captured(head, body, first_s))
        mark = self.id.encode()
        self.client.answer(mark.join(head.pieces), body)
        route = "" if way.route is None else way.route.name
        started_s, name = self.started_s, plan.endpoint.name
        state.meters.count_answer(
            route, name, plan.arm, 200, first_s - started_s, time.perf_counter() - started_s,
            way.model_label, way.key_label,
        )  # fmt: skip
        state.meters.count_waits(route, name, self.asked_s - started_s, first_s - self.asked_s)

    def _captured(self, head: AnswerHead, body: bytes, first_s: float) -> CapturedExchange:
        plan, way, decision = self.plan, self.plan.way, self.decision
        return CapturedExchange(
            id=self.id,
            at_ms=self.at_ms,
            kind=way.head.api_route.kind,
            model=way.model,
            request=self.body,
            response=body,
            status=200,
            streamed=False,
            completeness="complete",
            route=None if way.route is None else way.route.name,
            endpoint=plan.endpoint.name,
            decision=decision.reason,
            arm=decision.arm,
            share=decision.share,
            assignment_key=self.assignment_key,
            conversation_id=way.session,
            user=self.user,
            response_kind="anthropic" if plan.endpoint.api == "anthropic" else "openai",
            content_encoding=head.content_encoding,
            ttft_ms=(first_s - self.started_s) * 1000,
            total_ms=(time.perf_counter() - self.started_s) * 1000,
            api_key=None if way.key is None else way.key.name,
            upstream_id=head.upstream_id,
        )

    # The client's side

    def header(self, name: str) -> str | None:
        """The first value of a header of the request."""
        return self.plan.way.head.first_values.get(name)

    def connection_lost(self) -> None:
        """The client has gone before its answer."""
        count_left_candidate(self.state, self.id)
        self._end()
        route = self.plan.way.route
        self.state.meters.count("freehold_client_aborts", "" if route is None else route.name)
        self.upstream.abort()

    def _leave(self, outcome: UpstreamResponse | TransportError | None) -> None:
        """Go the long way, with what the endpoint that was asked said; None where it cannot have seen the request."""
        if self.is_over:
            return
        self._end()
        request = self.client.go_the_long_way(self.plan.way.head, self.length, self.body)
        request.began = Began(self.id, self.at_ms, self.started_s, self.draw, self.admission)
        if outcome is not None:
            request.first_try = FirstTry(self.plan.endpoint, self.asked_s, outcome)

    def _end(self) -> None:
        self.is_over = True
        self.state.memory.give(self.held_bytes)
        self.state.meters.in_flight -= 1
        if self.plan.arm == "candidate":
            self.state.meters.candidates_requests.pop(self.id, None)


class _WatchedResponse(UpstreamResponse):
    """An answer that the parser reads, for as long as it may become an ordinary one."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: LaneExchange) -> None:
        super().__init__(exchange.upstream, exchange.state.memory)
        self._exchange: LaneExchange | None = exchange

    def deliver(self) -> None:
        if self._exchange is None:
            super().deliver()
        elif not self._exchange.took(self):
            self._exchange = None

    def set_exception(self, error: TransportError) -> None:
        super().set_exception(error)
        if self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            exchange.failed(self, error)


def connecting(state: WorkerState) -> Callable[[ConnectionHost], Connection]:
    """What makes the connections of a worker's clients."""
    return functools.partial(LaneConnection, state, Heads(state))
