"""How far further samples of a candidate agree with the answer it gave, for a rule that decides by that.

All of them must come, else it is not known how sure the answer is. What the client's tools do is run by the client,
once, so asking again runs nothing.
"""

from __future__ import annotations

import asyncio

import msgspec

from freehold.deferring.agreeing import agreement, resampled, said_in
from freehold.gateway.http.response import TransportError
from freehold.gateway.http.upstreams import UpstreamFailure, Upstreams
from freehold.gateway.proxy.deferrable import AnswerSignal
from freehold.gateway.proxy.guards import UpstreamRequest
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import Endpoint
from freehold.wire.errors import UNREADABLE


async def signal_of(
    upstreams: Upstreams, rule: DeferralRule, endpoint: Endpoint, told: AnswerSignal, sent: UpstreamRequest
) -> float | None:
    """What a cascade's rule decides by: what the answer told of itself, or how many further samples say the same. None
    where one of them did not come, the answer says nothing, or the request is too long to be taken apart here."""
    if rule.signal != "agreement":
        return told.value
    if told.said is None or len(sent.body) > INLINE_BYTES_MAX:
        return None

    async def one(number: int) -> str | None:
        changed = msgspec.json.encode(resampled(msgspec.json.decode(sent.body), number))
        response = await upstreams.post(endpoint, sent.path, sent.headers, changed)
        try:
            answer = await response.read_all()
            if response.status >= 300:
                raise UpstreamFailure(f"endpoint {endpoint.name} answers {response.status}", reached=True)
            return said_in(msgspec.json.decode(answer, type=dict))
        finally:
            await response.close()

    tasks = [asyncio.ensure_future(one(number)) for number in range(1, rule.samples + 1)]
    try:
        return agreement(told.said, await asyncio.gather(*tasks))
    except (UpstreamFailure, TransportError, *UNREADABLE):
        return None
    finally:
        for task in tasks:
            task.cancel()
