"""Mirror a request to the candidate, after the client has its answer.

A mirrored request has limits and a pool share of its own, carries no credentials of the client, and its
answer goes nowhere but into a trace. Tools it calls are written down, never run: only the client runs tools.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from freehold.gateway.http.memory import HeldBytes
from freehold.gateway.http.response import TransportError
from freehold.gateway.http.upstreams import UpstreamFailure
from freehold.gateway.messages import CapturedExchange, ResponseKind
from freehold.gateway.proxy import deferral
from freehold.gateway.proxy.exchange import CAPTURED_BYTES_MAX, Deferring, ProxyExchange
from freehold.gateway.proxy.guards import NOT_HELD, why_not_held
from freehold.gateway.proxy.reading import UpstreamBody
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import Translation, translation_for
from freehold.types.endpoint import Endpoint
from freehold.types.record import event_id
from freehold.types.route import Target
from freehold.wire.errors import ApiError

TIMEOUT_S = 120.0


class Shadows:
    """The mirrored requests of a worker: bounded in number."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._running: set[asyncio.Task[None]] = set()

    def mirror(self, exchange: ProxyExchange, target: Target) -> None:
        """Start a mirrored request, or count why not; never waits, never raises."""
        meters = self._state.meters
        if len(self._running) >= self._state.config.shadow_concurrency:
            meters.count("freehold_shadows", exchange.route_name, "busy")
            return
        held = HeldBytes(self._state.memory)
        # The client's request outlives its answer here, and the candidate is sent a changed copy.
        if not held.take(2 * len(exchange.body)):
            meters.count("freehold_shadows", exchange.route_name, "no_room")
            return
        task = asyncio.get_running_loop().create_task(self._ask(exchange, target))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: held.release())

    async def close(self) -> None:
        for task in self._running:
            task.cancel()

    async def _ask(self, exchange: ProxyExchange, target: Target) -> None:
        state = self._state
        if target.endpoint not in state.table.endpoints:
            state.meters.count("freehold_shadows", exchange.route_name, "no_endpoint")
            return
        deferring = await deferral.foretell_mirrored(exchange, target)
        at_ms, started_s = int(time.time() * 1000), time.perf_counter()
        mirrored = await self._asked(exchange, target if deferring is None else deferring.own[0], deferring)
        state.meters.count("freehold_shadows", exchange.route_name, mirrored.outcome)
        if mirrored.outcome in _NOT_SENT:
            return
        if deferring is not None:
            while deferring.why != "sure" and (after := deferring.after):
                deferring.pass_on(after[0])
                further = await self._asked(exchange, after[0], deferring)
                state.meters.count("freehold_shadows", exchange.route_name, f"upper_{further.outcome}")
                if further.outcome != "answered":
                    deferring.tier = None
                else:
                    mirrored = further
            if deferring.decision is not None:
                deferral.count_decision(
                    state, "freehold_shadow_deferrals", exchange.route_name, deferring.decision
                )
        elapsed_ms = (time.perf_counter() - started_s) * 1000
        endpoint, answer_body, outcome = mirrored.endpoint, mirrored.body, mirrored.outcome
        if state.spool is None or not exchange.capturing or len(answer_body) > CAPTURED_BYTES_MAX:
            return
        state.spool.offer(
            CapturedExchange(
                id=event_id(at_ms),
                at_ms=at_ms,
                kind=exchange.api_route.kind,
                model=exchange.model,
                request=exchange.body,
                response=answer_body,
                status=mirrored.status,
                streamed=False,
                response_kind=mirrored.kind,
                completeness="complete" if outcome == "answered" else "upstream_cut",
                route=exchange.route_name,
                endpoint=endpoint.name,
                decision="shadow",
                arm="candidate",
                share=exchange.route.shadow_share if exchange.route is not None else None,
                assignment_key=exchange.assignment_key,
                parent_id=exchange.id,
                conversation_id=exchange.session,
                user=exchange.user,
                ttft_ms=elapsed_ms if outcome == "answered" else None,
                total_ms=elapsed_ms,
                deferral=None if deferring is None else deferring.decision,
            )
        )

    async def _asked(self, exchange: ProxyExchange, target: Target, deferring: Deferring | None) -> _Mirrored:
        """What became of a request at one endpoint; `deferring` has then what would have been decided of it."""
        endpoint = self._state.table.endpoints[target.endpoint]
        undecided = deferring is not None and deferring.why is None
        wanted = undecided and not deferral.client_asks_logprobs(deferring)
        # By the Responses API itself it would leave its answer there.
        endpoint = deferral.by_chat(endpoint)
        try:
            translation = translation_for(exchange.api_route, endpoint)
            body = await self._body(exchange, endpoint, target, translation, asks_logprobs=wanted)
        except ApiError as error:
            return _Mirrored(endpoint, "openai", 0, b"", why_not_held(error))
        path = exchange.api_route.path if translation is None else translation.path
        kind = _kind(exchange, endpoint, translation)
        mirrored = _Mirrored(endpoint, kind, *await self._answer(endpoint, path, body))
        if deferring is None or deferring.by_upper:
            return mirrored
        given = mirrored.body if mirrored.outcome == "answered" else None
        shown = await deferral.decide_mirrored(exchange, deferring, endpoint, given)
        return mirrored if shown is None else mirrored._replace(body=shown)

    async def _body(
        self,
        exchange: ProxyExchange,
        endpoint: Endpoint,
        target: Target,
        translation: Translation | None,
        *,
        asks_logprobs: bool,
    ) -> bytes:
        """The request as a candidate is mirrored it. Raises `ApiError`."""
        how = UpstreamBody(
            exchange.api_route.path,
            endpoint,
            target,
            exchange.model,
            exchange.peek.model,
            routed=True,
            stream=bool(exchange.peek.stream),
            stream_options=b"",
            asks_usage=False,
            whole=True,
            asks_logprobs=asks_logprobs,
        )
        _, (body,) = await self._state.reader.do("upstream", how, exchange.body)
        path = exchange.api_route.path if translation is None else translation.path
        served = endpoint.served(target.model or exchange.model)
        return await self._state.preparer.body(endpoint, served, path, body)

    async def _answer(self, endpoint: Endpoint, path: str, body: bytes) -> tuple[int, bytes, str]:
        """Status and body of the candidate's answer, and what became of the request."""
        upstreams = self._state.upstreams
        headers = upstreams.request_headers(endpoint, _JSON, pass_credentials=False)
        status, answer_body = 0, b""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                response = await upstreams.post(endpoint, path, headers, body)
                try:
                    status = response.status
                    answer_body = await response.read_all()
                finally:
                    response.close()
        except (UpstreamFailure, TransportError, TimeoutError):
            return status or 599, answer_body, "failed"
        return status, answer_body, "failed" if status >= 400 else "answered"


class _Mirrored(NamedTuple):
    """An answer to a mirrored request, and what became of it."""

    endpoint: Endpoint
    kind: ResponseKind
    status: int
    body: bytes
    outcome: str


_NOT_SENT = frozenset(("not_prepared", *NOT_HELD))


def _kind(exchange: ProxyExchange, endpoint: Endpoint, translation: Translation | None) -> ResponseKind:
    """In which API's words the candidate answered."""
    if endpoint.api == "anthropic":
        return "anthropic"
    return "responses" if exchange.api_route.kind == "responses" and translation is None else "openai"


_JSON = (("content-type", "application/json"),)
