"""One request and its answer on their way through the proxy: what is known so far."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec

from freehold.gateway.http.memory import HeldBytes
from freehold.gateway.http.request import Headers, Request
from freehold.gateway.limits.limiter import Admission
from freehold.gateway.messages import CapturedExchange, ResponseKind
from freehold.gateway.proxy.deferrable import Deferrable
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import ApiRoute, Translation
from freehold.gateway.spending import UNSEEN_TOKENS, AskedBounds, charge_of, ends_of
from freehold.gateway.telemetry.request_log import RequestSummary
from freehold.types.deferral import DeferralDecision, DeferralReason, DeferralRule, Tier
from freehold.types.endpoint import Api, Endpoint
from freehold.types.record import event_id
from freehold.types.route import ApiKey, Limits, Route, RouteDecision, Target
from freehold.types.trace import Completeness
from freehold.wire.openai import Peek

# A body beyond this is forwarded but not captured: it is too long to train on, and would fill the queue.
CAPTURED_BYTES_MAX = 8 * 1024 * 1024
NAME_LENGTH_MAX = 200
# What is remembered of an answer takes room of the budget from here on, in steps of as much.
_STEP_BYTES = 256 * 1024

_NOTHING_SEEN = Peek()
_PASSES_ON = frozenset((None, "sure", "unsure", "no_signal", "candidate_failed", "candidate_slow"))

MAY_HAVE_ANSWERED = frozenset(("upstream_timeout", "upstream_cut", "upstream_unreadable", "schema_violation"))
"""Errors after which the tokens that were reserved stay counted: the endpoint may still be answering, or did in a way
that cannot be told."""
_TOTAL_TOKENS = re.compile(rb'"total_tokens" ?: ?(\d{1,9})')


class Deferring(msgspec.Struct, eq=False):
    """What a rule of deferral has of one request. `why` is None until it is decided."""

    rule: DeferralRule
    candidate: Target
    began_s: float
    """When the request came (`time.perf_counter`); for a mirrored one, when it was mirrored."""
    asked: Deferrable | None = None
    why: DeferralReason | None = None
    confidence: float | None = None
    decided_ms: float | None = None
    tier: int | None = 0
    """The place of the tier that is asked now, or answered; None where the incumbent is."""

    @property
    def own(self) -> list[Target]:
        """Where the tiers are asked, in their order."""
        rule, named = self.rule, self.candidate
        return [
            named
            if one is rule.candidate
            else Target(endpoint=one.endpoint or named.endpoint, model=one.model)
            for one in rule.tiers
        ] or [named]

    @property
    def after(self) -> list[Target]:
        """The tiers after the one that is asked, which answer instead of the incumbent; none for requests that were no
        part of the proof or are the incumbent's whatever is said."""
        if self.tier is None or self.rule.is_on_safe_side or self.why not in _PASSES_ON:
            return []
        return self.own[self.tier + 1 :]

    @property
    def by_upper(self) -> bool:
        """Whether the one that is asked now answers all that no tier before it was sure of."""
        return self.tier is not None and self.rule.tiers[self.tier].signal is None

    def pass_on(self, target: Target) -> Tier | None:
        """The tier that is asked now at a target, where that is the next one; None where the incumbent is."""
        if self.tier is None or target not in self.after[:1]:
            self.tier = None
            return None
        self.tier += 1
        tier = self.rule.tiers[self.tier]
        if tier.signal is not None:
            self.why = None
        return tier

    @property
    def decision(self) -> DeferralDecision | None:
        """What was decided, so far."""
        if self.why is None:
            return None
        here = self.why in ("sure", "stays_here")
        return DeferralDecision(
            rule_id=self.rule.id,
            by="candidate" if here else "upper" if self.by_upper else "incumbent",
            why=self.why,
            confidence=self.confidence,
            decided_ms=self.decided_ms,
        )


class ProxyExchange(msgspec.Struct, eq=False):
    """Mutable, lives for one request. Times are `time.perf_counter` seconds. Made by `new_exchange`."""

    state: WorkerState
    request: Request
    api_route: ApiRoute
    held: HeldBytes
    at_ms: int
    id: str
    started_s: float
    first_byte_s: float | None = None
    first_asked_s: float | None = None
    """When the first endpoint was asked; `asked_s` is of the one that was asked last."""
    asked_s: float = 0.0
    body: bytes = b""
    asked: bytes = b""
    """What an answer in the client's API repeats of its request: the body itself, or of a long one its short fields."""
    wants_form: bool = True
    form_held: bool = True
    bounds: AskedBounds | None = None
    """What the request may cost beyond its words; None where that was not read yet. Of a long body `form_held` says
    whether an engine's grammar holds all of the schema that it asks an answer in."""
    peek: Peek = _NOTHING_SEEN
    model: str = ""
    key: ApiKey | None = None
    user: str | None = None
    session: str | None = None
    route: Route | None = None
    decision: RouteDecision | None = None
    assignment_key: str | None = None
    answered_by: Endpoint | None = None
    arm: str = "incumbent"
    fallback: str | None = None
    error_code: str | None = None
    status: int = 0
    streamed: bool = False
    capturing: bool = False
    found_no_room: bool = False
    completeness: Completeness = "complete"
    content_encoding: str | None = None
    chunks: list[bytes] = []
    chunk_bytes: int = 0
    response_started: bool = False
    admission: Admission | None = None
    metered: bool = False
    """Whether its tokens are counted: a rate of them or spending is limited."""
    capped: list[tuple[str, Limits]] = []
    reservation: Any = None
    is_kept: bool = False
    deferring: Deferring | None = None
    tells_arm: bool = True
    """Whether the answer says which arm it is of."""
    upstream_id: str | None = None

    @property
    def route_name(self) -> str:
        return self.route.name if self.route is not None else ""

    @property
    def upstream_model(self) -> str:
        """The model's name at the endpoint that answered."""
        decision, route, endpoint = self.decision, self.route, self.answered_by
        targets = [decision.target] if decision is not None else []
        if self.deferring is not None and self.deferring.tier is not None:
            targets.insert(0, self.deferring.own[self.deferring.tier])
        if route is not None:
            targets += [route.incumbent, *route.fallback]
        for target in targets:
            if endpoint is not None and target.endpoint == endpoint.name:
                return target.model or self.model
        return self.model

    @property
    def answered_arm(self) -> str:
        """Which of the route's targets answered: the arm the request was sent to, or where that one failed, the one
        that answered instead; ``fallback`` for one that is neither."""
        route, endpoint = self.route, self.answered_by
        if self.fallback is None or route is None or endpoint is None:
            return self.arm
        if endpoint.name == route.incumbent.endpoint:
            return "incumbent"
        if route.candidate is not None and endpoint.name == route.candidate.endpoint:
            return "candidate"
        return "fallback"

    @property
    def response_kind(self) -> ResponseKind:
        """In which API's words the upstream answered."""
        endpoint = self.answered_by
        if endpoint is not None and endpoint.api == "anthropic":
            return "anthropic"
        if endpoint is not None and self.api_route.kind == "responses" and endpoint.capabilities.responses:
            return "responses"
        return "openai"

    def note_asking(self) -> None:
        """An endpoint is asked now."""
        now_s = self.asked_s = time.perf_counter()
        if self.first_asked_s is None:
            self.first_asked_s = now_s

    def add_chunk(self, data: bytes) -> None:
        """Remember a piece of the answer, as the upstream sent it."""
        self.chunk_bytes += len(data)
        if self.chunk_bytes <= CAPTURED_BYTES_MAX:
            self.chunks.append(data)
            if self.chunk_bytes - self.held.size_bytes > _STEP_BYTES and not self.held.take(_STEP_BYTES):
                # The client gets its answer; there is no room to remember it. Its end may still tell the usage.
                self.chunk_bytes = CAPTURED_BYTES_MAX + 1
                del self.chunks[:-3]
                self.found_no_room = True

    def forget_answer(self) -> None:
        """Another target is tried: what came so far is not the answer."""
        self.chunks.clear()
        self.chunk_bytes = 0
        self.held.release()
        self.first_byte_s = None
        self.answered_by = None
        self.streamed = False

    def tokens(self) -> int:
        """Tokens that were used."""
        api = None if self.answered_by is None or self.status >= 400 else self.answered_by.api
        return tokens_used(self.body, self.chunks, self.chunk_bytes, api)

    def settle_tokens(self) -> None:
        """Count what the answer used in the place of what was reserved for it."""
        if self.admission is not None and self.error_code not in MAY_HAVE_ANSWERED:
            self.admission.settle(self.tokens())

    @property
    def is_captured(self) -> bool:
        """Whether a trace of it is to be kept."""
        return self.capturing and self.api_route.kind != "count_tokens"

    @property
    def is_too_long(self) -> bool:
        """Whether it is too long to be kept, or there was no room to remember it (`found_no_room`)."""
        return self.chunk_bytes > CAPTURED_BYTES_MAX or len(self.body) > CAPTURED_BYTES_MAX

    def captured(self) -> CapturedExchange:
        """What is sent to the recorder."""
        decision = self.decision
        return CapturedExchange(
            id=self.id,
            at_ms=self.at_ms,
            kind=self.api_route.kind,
            model=self.model,
            request=self.body,
            response=b"".join(self.chunks),
            status=self.status,
            streamed=self.streamed,
            completeness=self.completeness,
            route=self.route_name or None,
            endpoint=self.answered_by.name if self.answered_by is not None else None,
            decision=decision.reason if decision is not None else None,
            arm=decision.arm if decision is not None else "incumbent",
            fallback=self.fallback,
            share=decision.share if decision is not None else None,
            assignment_key=self.assignment_key,
            conversation_id=self.session,
            user=self.user,
            response_kind=self.response_kind,
            content_encoding=self.content_encoding,
            ttft_ms=None if self.first_byte_s is None else (self.first_byte_s - self.started_s) * 1000,
            total_ms=(time.perf_counter() - self.started_s) * 1000,
            api_key=None if self.key is None else self.key.name,
            deferral=None if self.deferring is None else self.deferring.decision,
            upstream_id=self.upstream_id,
        )

    def summary(self, traceparent: str | None, *, with_ends: bool = False) -> RequestSummary:
        """What the request log and spans may say of it: no content. `with_ends` adds the ends of the answer, in which a
        span's exporter looks for its usage."""
        endpoint = self.answered_by
        first = self.first_byte_s
        return RequestSummary(
            id=self.id,
            at_ms=self.at_ms,
            api=self.api_route.api,
            kind=self.api_route.kind,
            path=self.api_route.path,
            model=self.model[:NAME_LENGTH_MAX],
            status=self.status,
            total_ms=round((time.perf_counter() - self.started_s) * 1000, 3),
            ttft_ms=None if first is None else round((first - self.started_s) * 1000, 3),
            streamed=self.streamed,
            completeness=self.completeness,
            route=self.route_name or None,
            endpoint=None if endpoint is None else endpoint.name,
            arm=None if endpoint is None else self.arm,
            fallback=self.fallback,
            deferral=None if self.deferring is None else self.deferring.why,
            code=self.error_code,
            key=None if self.key is None else self.key.name,
            traceparent=traceparent,
            upstream_id=self.upstream_id,
            ends=self._ends() if with_ends else None,
        )

    def _ends(self) -> tuple[bytes, bytes] | None:
        """The ends of an answer that was remembered and is not compressed."""
        endpoint = self.answered_by
        if endpoint is None or not self.chunks or self.content_encoding not in (None, "identity"):
            return None
        return ends_of(self.chunks, endpoint.api)


class Attempt(msgspec.Struct, eq=False):
    """An endpoint's turn at a request: who is asked, and what it is sent. `last`: no other can answer instead.
    `hide_usage`: usage was requested, but not by the client."""

    exchange: ProxyExchange
    endpoint: Endpoint
    target: Target
    last: bool
    translation: Translation | None = None
    path: str = ""
    headers: Headers = []
    body: bytes = b""
    hide_usage: bool = False


def tokens_used(body: bytes, chunks: list[bytes], chunk_bytes: int, api: Api | None) -> int:
    """Tokens that were used: read from the answer's end, where usage stands; estimated where it says none.

    `api` is the one in whose words it is, None for what is not an answer.
    """
    tail = b"".join(chunks[-3:])[-4096:]
    totals = _TOTAL_TOKENS.findall(tail)
    if totals and int(totals[-1]) <= len(body) + chunk_bytes + 2 * UNSEEN_TOKENS:
        return int(totals[-1])
    if api is None:
        return 0
    # Anthropic's API has no total.
    charge = charge_of((), "", "", api, body, chunks)
    return charge.prompt_tokens + charge.completion_tokens


def new_exchange(state: WorkerState, api_route: ApiRoute, request: Request) -> ProxyExchange:
    """An exchange that begins now."""
    at_ms, held = int(time.time() * 1000), HeldBytes(state.memory)
    return ProxyExchange(state, request, api_route, held, at_ms, event_id(at_ms), time.perf_counter())
