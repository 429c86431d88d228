"""Who answers on a route with a rule of deferral: the first of its tiers that is sure, the incumbent where none is.

A router decides from the request, before anyone is asked. In a cascade the tiers are asked in turn, and the whole
answer of one is held back until it is known how sure it is. A rejected one is forgotten: no word, id or count of it
reaches the client.

Covered: every decision in the trace and in numbers; a tier that is down, slow or given a pause; an upper model of
one's own in the incumbent's place. In doubt the incumbent answers.
Not covered: another answer for one that breaks off in its middle; the client is told, as without a rule.
"""

from __future__ import annotations

import math
import time

import msgspec

from freehold.errors import FreeholdError
from freehold.gateway.http.response import UpstreamResponse
from freehold.gateway.proxy import spend
from freehold.gateway.proxy.deferrable import (
    AnswerSignal,
    Deferrable,
    ReadAnswer,
    ReadRequest,
    meets,
)
from freehold.gateway.proxy.exchange import Attempt, Deferring, ProxyExchange
from freehold.gateway.proxy.guards import NOT_HELD, NextTarget, read_all
from freehold.gateway.proxy.relay import send_buffered
from freehold.gateway.proxy.routing import targets_in_turn
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.structured_output import OutputContract
from freehold.types.deferral import DeferralDecision, DeferralReason, DeferralRule
from freehold.types.endpoint import Endpoint
from freehold.types.route import Target
from freehold.wire.errors import ApiError

_NOT_ANSWERS = ("count_tokens",)


class Deferred(NextTarget):
    """A tier's answer was read and is not sure enough: no failure, the next target is whom the rule names."""


async def targets_by_rule(exchange: ProxyExchange, rule: DeferralRule) -> list[Target]:
    """The targets to try, in order; without the tiers whose turn is not to come."""
    route, decision = exchange.route, exchange.decision
    assert route is not None and decision is not None
    first, *rest = targets_in_turn(route, decision)
    if exchange.api_route.kind in _NOT_ANSWERS and not rule.never_defer_out:
        exchange.arm = "incumbent"
        return rest
    deferring = exchange.deferring = await foretold(exchange, rule, first)
    if deferring.why == "stays_here":
        return [first]
    targets = [*deferring.after, *rest]
    if deferring.why == "sure" or deferring.why is None:
        return [deferring.own[0], *targets]
    passes_on(exchange, targets[0])
    return targets


def passes_on(exchange: ProxyExchange, target: Target) -> None:
    """A tier's turn is over or never comes: note whether another tier or the incumbent is asked now."""
    tier = None if exchange.deferring is None else exchange.deferring.pass_on(target)
    exchange.arm = "incumbent" if tier is None else "upper" if tier.signal is None else "candidate"


async def foretold(
    exchange: ProxyExchange,
    rule: DeferralRule,
    target: Target,
    *,
    began_s: float | None = None,
) -> Deferring:
    """What a rule says before anyone is asked: it may be undecided still, in a cascade."""
    state = exchange.state
    deferring = Deferring(rule, target, exchange.started_s if began_s is None else began_s)
    deferring.tier = 0 if rule.tiers else None
    try:
        how = ReadRequest(exchange.api_route.kind, rule.way == "router")
        found, (text,) = await state.reader.do("deferrable", how, exchange.body)
        asked = deferring.asked = msgspec.convert(found, Deferrable)
    except ApiError:  # it takes too much to be read; what must not leave the house is not known then
        return _decided(deferring, "stays_here" if rule.never_defer_out else "not_decidable")
    header, key_name = exchange.request.header, None if exchange.key is None else exchange.key.name
    if rule.never_defer_out and meets(rule.never_defer_out, asked, header, key_name):
        return _decided(deferring, "stays_here")
    if target.endpoint not in state.table.endpoints:
        return _decided(deferring, "candidate_failed")
    refusal = state.rules.refusal(rule, target, exchange.model, state.table.endpoints)
    if refusal is not None:
        return _decided(deferring, refusal)
    if not asked.decidable:
        return _decided(deferring, "not_decidable")
    if meets(rule.always_incumbent, asked, header, key_name):
        return _decided(deferring, "always_incumbent")
    if rule.is_on_safe_side:  # whatever the candidate would say
        return _decided(deferring, "unsure")
    if rule.way == "router":
        try:
            router = await state.rules.router(rule)
        except FreeholdError:
            return _decided(deferring, "unreadable")
        return decided_by(deferring, router.score_text(text.decode()) if text else None)
    if state.table.endpoints[target.endpoint].api != "openai":
        return _decided(deferring, "no_signal")
    return deferring


def decided_by(deferring: Deferring, raw: float | None) -> Deferring:
    """The decision by a signal's value; without one the incumbent answers."""
    if raw is None or math.isnan(raw):
        return _decided(deferring, "no_signal")
    assert deferring.tier is not None
    rule, tier = deferring.rule, deferring.rule.tiers[deferring.tier]
    assert tier.calibration is not None
    confidence = deferring.confidence = tier.calibration(raw)
    return _decided(deferring, "sure" if confidence >= rule.threshold else "unsure")


def _decided(deferring: Deferring, why: DeferralReason) -> Deferring:
    deferring.why = why
    deferring.decided_ms = (time.perf_counter() - deferring.began_s) * 1000
    return deferring


def asks_candidate(exchange: ProxyExchange) -> Deferring | None:
    """What the rule has of a request that the candidate is asked now, where the incumbent can still answer."""
    return exchange.deferring if exchange.arm == "candidate" else None


def is_cascade(exchange: ProxyExchange) -> bool:
    """Whether the candidate's answer is to be held back until it is known how sure it is."""
    deferring = asks_candidate(exchange)
    return deferring is not None and deferring.why is None


def asks_logprobs(exchange: ProxyExchange) -> bool:
    """Whether an answer is to tell how sure it is, and the client did not ask for that itself."""
    if not is_cascade(exchange):
        return False
    assert exchange.deferring is not None
    return not client_asks_logprobs(exchange.deferring)


def client_asks_logprobs(deferring: Deferring | None) -> bool:
    """Whether the client gets log-probabilities because it asked for them."""
    return deferring is not None and deferring.asked is not None and deferring.asked.asks_logprobs


def first_byte_ms(exchange: ProxyExchange, *, last: bool) -> float | None:
    """How long the one that is asked may take to begin; None: as long as any. Less where another can still answer."""
    route = exchange.route
    if route is None:
        return None
    if last or exchange.arm == "incumbent":
        return route.first_byte_ms
    rule = None if (deferring := asks_candidate(exchange)) is None else deferring.rule
    waits = (route.first_byte_ms, None if rule is None else rule.wait_ms)
    return min((one for one in waits if one is not None), default=None)


def by_chat(endpoint: Endpoint) -> Endpoint:
    """An endpoint that is asked by the chat API alone, whose answers tell how sure they are."""
    can = endpoint.capabilities
    if not (can.responses or can.responses_unknown):
        return endpoint
    chat_only = msgspec.structs.replace(can, responses=False, responses_unknown=False)
    return msgspec.structs.replace(endpoint, capabilities=chat_only)


async def judge(attempt: Attempt, response: UpstreamResponse, contract: OutputContract | None) -> None:
    """Send a candidate's answer to the client where it is sure. Raises `NextTarget`: `Deferred` where it is not."""
    exchange, endpoint = attempt.exchange, attempt.endpoint
    state = exchange.state
    deferring = exchange.deferring
    assert deferring is not None
    data = await read_all(endpoint, response)
    if contract is not None:
        violation = await state.checker.violation(
            exchange.api_route.kind, endpoint, contract, data, streamed=response.is_stream
        )
        if violation is not None:
            # Not asked once more, constrained: the rule was proven for what the candidate says of itself.
            state.meters.count("freehold_guard_events", exchange.route_name, "schema", "fallback")
            raise NextTarget("schema")
    if response.header("content-encoding") not in (None, "identity"):
        raise NextTarget("compressed")
    how = _reads(exchange, deferring, endpoint, streamed=response.is_stream)
    try:
        found, (shown,) = await state.reader.do("signal", how, data)
    except ApiError as error:
        raise NextTarget(error.code or str(error.status)) from None
    told = msgspec.convert(found, AnswerSignal)
    if not told.whole:
        raise NextTarget("incomplete")
    decided_by(deferring, told.value)
    if deferring.why == "sure":
        await send_buffered(attempt, response, shown or data)
        return
    spend.bill_rejected(exchange, endpoint, response.status, data)
    raise Deferred(str(deferring.why))


def _reads(
    exchange: ProxyExchange, deferring: Deferring, endpoint: Endpoint, *, streamed: bool
) -> ReadAnswer:
    assert deferring.tier is not None
    signal, keeps_logprobs = deferring.rule.tiers[deferring.tier].signal, client_asks_logprobs(deferring)
    assert signal is not None
    return ReadAnswer(exchange.api_route.kind, endpoint, streamed, signal, keeps_logprobs)


def passed_over(exchange: ProxyExchange, why: str) -> None:
    """The candidate failed to answer: so the incumbent does."""
    deferring = asks_candidate(exchange)
    if deferring is None:
        return
    reason: DeferralReason = "candidate_failed"
    if why == "timeout":
        reason = "candidate_slow"
    elif why in NOT_HELD:
        reason = "not_decidable"
    _decided(deferring, reason)


async def foretell_mirrored(exchange: ProxyExchange, target: Target) -> Deferring | None:
    """For a mirrored request: what the route's rule says before the candidate is asked; None where it has no rule."""
    rule = None if exchange.route is None else exchange.route.deferral
    if rule is None:
        return None
    return await foretold(exchange, rule, target, began_s=time.perf_counter())


async def decide_mirrored(
    exchange: ProxyExchange,
    deferring: Deferring,
    endpoint: Endpoint,
    answer: bytes | None,
) -> bytes | None:
    """What would have been decided of a mirrored answer (None: none came). Returns it as a client would see it."""
    shown = answer
    if deferring.why is None and answer is not None:
        how = _reads(exchange, deferring, endpoint, streamed=False)
        try:
            read, (changed,) = await exchange.state.reader.do("signal", how, answer)
            told = msgspec.convert(read, AnswerSignal)
            shown = changed or answer
            if (time.perf_counter() - deferring.began_s) * 1000 > deferring.rule.wait_ms:
                _decided(deferring, "candidate_slow")
            elif told.whole:
                decided_by(deferring, told.value)
        except ApiError:
            pass
    if deferring.why is None or (deferring.why == "sure" and answer is None):
        _decided(deferring, "candidate_failed")
    return shown


def count(exchange: ProxyExchange) -> None:
    """Count the decision of a request that is over."""
    state = exchange.state
    if exchange.deferring is not None and (made := exchange.deferring.decision) is not None:
        count_decision(state, "freehold_deferrals", exchange.route_name, made)
        if made.decided_ms is not None:
            state.meters.observe("freehold_deferral_seconds", made.decided_ms / 1000, exchange.route_name)


def count_decision(state: WorkerState, name: str, route_name: str, made: DeferralDecision) -> None:
    """Count one decision, and how sure the candidate was."""
    state.meters.count(name, route_name, made.by, made.why)
    if made.confidence is not None and name == "freehold_deferrals":
        state.meters.observe("freehold_deferral_confidence", made.confidence, route_name)
