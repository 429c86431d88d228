"""A client's connection that tries the short way with each request, and goes the long way with those that it does not
know: the same connection, whose deadlines and drain hold for both.

A request is tried only where the one before is over and nothing was sent ahead. Until the endpoint is asked, nothing
was acted on, and the same bytes go to the parser.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from freehold.gateway import deadlines
from freehold.gateway.http.connection import Connection
from freehold.gateway.http.request import Began, ConnectionHost, Request
from freehold.gateway.http.upstream_client import UpstreamConnection
from freehold.gateway.lane.exchange import LaneExchange
from freehold.gateway.lane.plans import HEAD_BYTES_MAX, ClientHead, Heads, Plan, Way
from freehold.gateway.limits.limiter import Admission
from freehold.gateway.proxy.forward import (
    assignment_key,
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
from freehold.wire.errors import ApiError, unambiguous
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


def connecting(state: WorkerState) -> Callable[[ConnectionHost], Connection]:
    """What makes the connections of a worker's clients."""
    return functools.partial(LaneConnection, state, Heads(state))
