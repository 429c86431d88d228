"""Money on the hot path: reserve before an endpoint that charges is asked, bill when it has answered.

Only requests under a spend cap get here beyond the first line. What was asked and has no known outcome (a client that
left before the answer, a timeout, an answer that broke off or cannot be read) is billed at its upper estimate: the
endpoint may charge for it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from freehold.costs.prices import longest_prompt
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.ledger import nano_of
from freehold.gateway.messages import ApiKind
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.spending import (
    LONGEST_ANSWER,
    LONGEST_CONTEXT,
    AskedBounds,
    Charge,
    bounds_of,
    charge_of,
    priced_tier,
    usd_of,
)
from freehold.types.endpoint import Endpoint
from freehold.types.trace import Usage
from freehold.wire.errors import ApiError

# A token of text has more bytes than this in every language; so a prompt has fewer tokens than half its bytes.
_BYTES_PER_TOKEN = 2
_USUAL_ANSWER, _USUAL_CONTEXT = 4096, 128_000
"""Tokens of what a body does not show, where only a rate of them is limited: what was used is counted after it."""
_PRICED_FOR_S = 3600.0
_MANY = 500_000


class Reservation(NamedTuple):
    """What is reserved for a request that is under way, and the tokens it is reserved for."""

    names: tuple[str, ...]
    nano: int
    most: Charge


async def reserve(exchange: ProxyExchange, endpoint: Endpoint, model: str) -> None:
    """Reserve the upper estimate of an answer's cost. Raises `ApiError` (429, 503)."""
    state = exchange.state
    if not exchange.capped or not state.config.charges(endpoint.name):
        return
    for name, _ in exchange.capped:
        if (unpriced := state.limiter.unpriced(name)) is not None:
            raise _unpriced(name, f"no price of {unpriced[:100]} is known")
    name = exchange.capped[0][0]
    bounds = _bounds(exchange)
    if bounds.charged_tool is not None:
        raise _unpriced(name, f"{bounds.charged_tool} is charged by the call, without a bound")
    context = (
        None if bounds.all_in_body and bounds.answer_tokens is not None else await _context(state, model)
    )
    most = _most(exchange, endpoint, model, bounds, context)
    nano = await _nano(state, most)
    if nano is None:
        raise _unpriced(name, f"no price of {model[:100]} is known")
    state.ledger.reserve(exchange.capped, nano)
    exchange.reservation = Reservation(tuple(name for name, _ in exchange.capped), nano, most)


def _unpriced(name: str, why: str) -> ApiError:
    shown = name.replace(":", " ")
    return ApiError(
        429, f"{shown} has a spend cap, and {why}", code="price_unknown", type="insufficient_quota"
    )


def release(exchange: ProxyExchange) -> None:
    """The endpoint does not charge for what happened."""
    reservation, exchange.reservation = exchange.reservation, None
    if reservation is not None:
        exchange.state.ledger.change(reservation.names, -reservation.nano)


def forfeit(exchange: ProxyExchange) -> None:
    """What the endpoint charges is not known: the whole reservation is billed."""
    reservation, exchange.reservation = exchange.reservation, None
    if reservation is not None:
        exchange.state.bill(reservation.most, reservation.names, reservation.nano)


def bill(exchange: ProxyExchange, endpoint: Endpoint) -> None:
    """NumberedCharge what an answer cost, in the place of what was reserved for it."""
    state = exchange.state
    if exchange.status >= 400:
        # An endpoint's own error released it. What is reserved still was answered, if not in a way that can be told.
        forfeit(exchange)
        return
    charge = charge_of(
        [name for name, _ in exchange.capped],
        endpoint.name,
        exchange.upstream_model,
        endpoint.api,
        exchange.body,
        exchange.chunks,
    )
    reservation, exchange.reservation = exchange.reservation, None
    if reservation is None:
        state.bill(charge)
        return
    if charge.estimated:
        # It ended without its count: the larger of what was reserved and what was seen.
        most = reservation.most
        if charge.prompt_tokens + charge.completion_tokens <= most.prompt_tokens + most.completion_tokens:
            state.bill(most, reservation.names, reservation.nano)
            return
    # Until the recorder has booked it: the part of the reservation that was used.
    tokens = reservation.most.prompt_tokens + reservation.most.completion_tokens
    used = charge.prompt_tokens + charge.completion_tokens
    nano = reservation.nano
    flat = (
        usd_of(charge, state.config, at=datetime.now(UTC)) if endpoint.name in state.config.prices else None
    )
    if flat is not None:
        nano = nano_of(flat)
    elif used > tokens:
        nano = reservation.nano * used // max(1, tokens)
    state.bill(charge, reservation.names, nano)
    state.ledger.change(reservation.names, nano - reservation.nano)


def keep(exchange: ProxyExchange) -> None:
    """Hand what was answered, and what it cost, to the recorder: once, before the client has the last byte of it.

    A worker that is killed later has answered nothing that is not kept.
    """
    state = exchange.state
    if exchange.is_kept or exchange.answered_by is None:
        return
    exchange.is_kept = True
    if exchange.metered:
        exchange.settle_tokens()
    if exchange.capped and state.config.charges(exchange.answered_by.name):
        bill(exchange, exchange.answered_by)
    if state.spool is None or not exchange.is_captured:
        return
    if exchange.is_too_long:
        state.spool.drop("memory" if exchange.found_no_room else "size")
    else:
        state.spool.offer(exchange.captured())


def bill_rejected(exchange: ProxyExchange, endpoint: Endpoint, status: int, data: bytes) -> None:
    """An answer that the client does not get has its price, where its endpoint has one."""
    state = exchange.state
    if not exchange.capped or not state.config.charges(endpoint.name):
        release(exchange)
        return
    exchange.answered_by, exchange.status = endpoint, status
    exchange.chunks.append(data)
    bill(exchange, endpoint)
    exchange.chunks.clear()


def _bounds(exchange: ProxyExchange) -> AskedBounds:
    return exchange.bounds or bounds_of(exchange.body)  # of a long body they were read beside the loop


async def _context(state: WorkerState, model: str) -> int:
    """The most tokens that a prompt of the model may have."""
    if model not in state.contexts:
        if len(state.contexts) > 1000:
            state.contexts.clear()
        stated = await asyncio.to_thread(longest_prompt, model)
        state.contexts[model] = stated or LONGEST_CONTEXT
    return state.contexts[model]


def _most(
    exchange: ProxyExchange, endpoint: Endpoint, model: str, bounds: AskedBounds, context: int | None
) -> Charge:
    body = exchange.body
    prompt = len(body) // _BYTES_PER_TOKEN
    if not bounds.all_in_body:
        prompt = max(prompt, context or LONGEST_CONTEXT)
    completion = _most_completion(
        exchange.api_route.kind, bounds, min(LONGEST_ANSWER, context or LONGEST_ANSWER)
    )
    # Writing to a cache costs more than reading: where the request asks for it, all of the prompt may be written.
    written = prompt if b'"cache_control"' in body or endpoint.api != "anthropic" else 0
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cache_write_tokens=written,
        cache_write_1h_tokens=written if b'"1h"' in body else 0,
        service_tier="priority" if priced_tier(body) == "priority" else None,
    )
    return Charge(
        [name for name, _ in exchange.capped], endpoint.name, model, prompt, 0, completion,
        estimated=True, usage=usage,
    )  # fmt: skip


def most_tokens(kind: ApiKind, body: bytes, bounds: AskedBounds | None = None) -> int:
    """The most tokens that a request and its answer are taken to use, where a rate of them is limited."""
    bounds = bounds or bounds_of(body)
    prompt = len(body) // _BYTES_PER_TOKEN
    if not bounds.all_in_body:
        prompt = max(prompt, _USUAL_CONTEXT)
    return prompt + _most_completion(kind, bounds, _USUAL_ANSWER)


def _most_completion(kind: ApiKind, bounds: AskedBounds, unstated: int) -> int:
    if kind in ("embeddings", "count_tokens"):
        return 0
    return bounds.answers * (unstated if bounds.answer_tokens is None else bounds.answer_tokens)


async def _nano(state: WorkerState, most: Charge) -> int | None:
    """What a charge comes to at most, in billionths of a dollar; None where the price is unknown."""
    if most.endpoint in state.config.prices:
        usd = usd_of(most, state.config, at=datetime.now(UTC))
        return None if usd is None else nano_of(usd)
    usage = most.counted()
    key = (most.endpoint, most.model, bool(usage.cache_write_tokens), bool(usage.cache_write_1h_tokens),
           usage.service_tier)  # fmt: skip
    known = state.list_prices.get(key)
    if known is None or time.monotonic() > known[0]:
        # The list is large, and read once: not on the loop.
        per_token = await asyncio.to_thread(most_per_token, most, state.config, datetime.now(UTC))
        if len(state.list_prices) > 1000:
            state.list_prices.clear()
        known = state.list_prices[key] = (time.monotonic() + _PRICED_FOR_S, per_token)
    if known[1] is None:
        return None
    return int(most.prompt_tokens * known[1][0] + most.completion_tokens * known[1][1]) + 1


def most_per_token(most: Charge, config: GatewayConfig, at: datetime) -> tuple[float, float] | None:
    """The most that a token of prompt and one of answer may cost, in billionths of a dollar: at the price of long
    prompts, and as written to the maker's cache where it may be. None where the price is unknown."""
    usage = most.counted()
    asked = msgspec.structs.replace(
        usage,
        prompt_tokens=_MANY,
        completion_tokens=0,
        cache_write_tokens=_MANY if usage.cache_write_tokens else 0,
        cache_write_1h_tokens=_MANY if usage.cache_write_1h_tokens else 0,
    )
    plain = msgspec.structs.replace(asked, cache_write_tokens=0, cache_write_1h_tokens=0)
    answered = msgspec.structs.replace(plain, completion_tokens=_MANY)
    prices = [
        usd_of(msgspec.structs.replace(most, usage=each), config, at=at) for each in (plain, asked, answered)
    ]
    if None in prices:
        return None
    read, written, both = (nano_of(usd) for usd in prices if usd is not None)
    return max(read, written) / _MANY, (both - read) / _MANY
