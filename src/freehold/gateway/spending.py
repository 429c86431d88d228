"""What an answer cost: tokens read from its end by the worker, dollars worked out by the recorder.

Covered: usage as OpenAI's and Anthropic's APIs report it, streamed or not; answers that report none (broken off,
or an endpoint that does not count) are estimated, and counted as estimated.
Not covered: batch discounts, tools that a maker charges for by the call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from freehold.costs.prices import TokenPrice, request_price
from freehold.errors import MissingExtraError, UsageError
from freehold.gateway.config import GatewayConfig

_PROMPT = re.compile(rb'"(?:prompt_tokens|input_tokens)" ?: ?(\d{1,9})')
_COMPLETION = re.compile(rb'"(?:completion_tokens|output_tokens)" ?: ?(\d{1,9})')
_CACHED = re.compile(rb'"(?:cached_tokens|cache_read_input_tokens)" ?: ?(\d{1,9})')
_HEAD, _TAIL = 4096, 4096
_BYTES_PER_TOKEN = 4
# A token has a byte at least. Beyond those seen there may be images, stored context, hidden reasoning: not more than
# this. A report that claims more is not believed.
UNSEEN_TOKENS = 200_000


class Charge(msgspec.Struct, frozen=True, array_like=True):
    """The tokens of one answer, the names they are charged to, the endpoint and the model."""

    names: list[str]
    endpoint: str
    model: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    estimated: bool = False
    implausible: bool = False


def charge_of(
    names: Sequence[str], endpoint: str, model: str, api: str, request: bytes, answer: Sequence[bytes]
) -> Charge:
    """The bill of an answer, from the bytes that are at hand."""
    # Anthropic's streams say at their beginning what went in, all others at their end.
    head = b"".join(answer[:3])[:_HEAD] if api == "anthropic" else b""
    tail = b"".join(answer[-3:])[-_TAIL:]
    prompt = _last(_PROMPT, tail) or _last(_PROMPT, head)
    completion = _last(_COMPLETION, tail)
    cached = _last(_CACHED, tail) or _last(_CACHED, head) or 0
    answer_bytes = sum(map(len, answer))
    implausible = (prompt or 0) > len(request) + UNSEEN_TOKENS or (
        completion or 0
    ) > answer_bytes + UNSEEN_TOKENS
    if implausible:
        prompt = completion = None
        cached = 0
    if prompt is not None and completion is not None:
        if api == "anthropic":
            prompt += cached  # Anthropic counts cached tokens separately
        return Charge(list(names), endpoint, model, prompt, min(cached, prompt), completion)
    chunks = sum(part.count(b"data:") for part in answer)
    return Charge(
        list(names),
        endpoint,
        model,
        prompt if prompt is not None else len(request) // _BYTES_PER_TOKEN,
        cached,
        chunks or answer_bytes // _BYTES_PER_TOKEN,
        estimated=True,
        implausible=implausible,
    )


def usd_of(charge: Charge, config: GatewayConfig, *, at: datetime) -> Decimal | None:
    """What a bill comes to: the endpoint's own price, else its maker's list price; None where neither is known."""
    flat = config.prices.get(charge.endpoint)
    try:
        return request_price(
            charge.model,
            prompt_tokens=charge.prompt_tokens,
            completion_tokens=charge.completion_tokens,
            cached_prompt_tokens=charge.cached_tokens,
            at=at,
            flat=None if flat is None else TokenPrice(flat.prompt, flat.completion, flat.cached_prompt),
        )
    except (UsageError, MissingExtraError):
        return None


def _last(pattern: re.Pattern[bytes], data: bytes) -> int | None:
    numbers = pattern.findall(data)
    return int(numbers[-1]) if numbers else None
