"""A request on the short way, from when its endpoint is asked until its client has the answer.

What comes from the endpoint and is not an ordinary whole answer goes to the long way as the outcome of its first try:
it then retries, tells the error, falls back or streams, as it does with what it asked for itself.
"""

from __future__ import annotations

import time
from typing import Protocol

import msgspec

from freehold.gateway.http.request import Began, FirstTry, Request
from freehold.gateway.http.response import RemoteProtocolError, TransportError, UpstreamResponse
from freehold.gateway.http.upstream_client import UpstreamConnection
from freehold.gateway.lane.plans import AnswerHead, ClientHead, Plan, answer_head, is_whole, note_answer
from freehold.gateway.limits.limiter import Admission
from freehold.gateway.messages import CapturedExchange
from freehold.gateway.proxy.exchange import tokens_used
from freehold.gateway.proxy.forward import count_left_candidate
from freehold.gateway.proxy.state import WorkerState
from freehold.types.route import RouteDecision
from freehold.wire.errors import is_only_error


class Client(Protocol):
    """The client's connection, as an exchange sees it."""

    def answer(self, before: bytes, body: bytes) -> None:
        """Send an answer, whose head lacks its end, and go on with the next request."""

    def go_the_long_way(self, head: ClientHead, length: bytes, body: bytes) -> Request:
        """Have the request answered by the long way, from its beginning."""


class LaneExchange(msgspec.Struct, eq=False, kw_only=True):
    """`length` and `body` are the client's, `held_bytes` what is held of the worker's memory for it."""

    state: WorkerState
    client: Client
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
