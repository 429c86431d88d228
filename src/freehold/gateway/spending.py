"""What an answer cost: tokens read from its end by the worker, dollars worked out by the recorder.

Covered: usage as `freehold.wire.usage` reads it, of every API, streamed or not: with what was read from and written to
the maker's cache, and the service tier; answers that report none (broken off, or an endpoint that does not count) are
estimated, and counted as estimated.
Not covered: tools that a maker charges for by the call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from freehold.costs.prices import flat_price, request_price
from freehold.errors import MissingExtraError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.types.trace import Usage
from freehold.wire.usage import merged, read_usage

_USAGE = re.compile(rb'"(?:usage|usageMetadata|usage_metadata)" ?: ?(?=\{)')
_TIER = re.compile(rb'"service_tier" ?: ?"(batch|flex|priority)"')
_HEAD, _TAIL = 4096, 16_384
_BYTES_PER_TOKEN = 4
# A token has a byte at least. Beyond those seen there may be images, stored context, hidden reasoning: who reports
# more than this is billed as it says, and told of.
UNSEEN_TOKENS = 200_000
_MOST_TOKENS = 10**7
"""Of one answer: a count beyond that is not believed."""
_decoder = json.JSONDecoder()


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
    usage: Usage | None = None
    """All that the answer counts, where it counts; the three counts before are those that an estimate has, too."""

    def counted(self) -> Usage:
        """What is to be priced."""
        return self.usage or Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_prompt_tokens=self.cached_tokens,
        )


def charge_of(
    names: Sequence[str], endpoint: str, model: str, api: str, request: bytes, answer: Sequence[bytes]
) -> Charge:
    """The bill of an answer, from the bytes that are at hand."""
    head, tail = ends_of(answer, api)
    told = merged(_last_usage(head), _last_usage(tail))
    usage = read_usage(told, service_tier=priced_tier(tail))
    prompt = None if usage is None else usage.prompt_tokens
    completion = None if usage is None else usage.completion_tokens
    if completion is None and prompt is not None and told.get("total_tokens") == prompt:
        completion = 0  # embeddings
    answer_bytes = sum(map(len, answer))
    implausible = (prompt or 0) > len(request) + UNSEEN_TOKENS or (
        completion or 0
    ) > answer_bytes + UNSEEN_TOKENS
    if (prompt or 0) > _MOST_TOKENS or (completion or 0) > _MOST_TOKENS:
        usage = prompt = completion = None
    cached = (usage.cached_prompt_tokens or 0) if usage is not None else 0
    if prompt is not None and completion is not None:
        return Charge(
            list(names), endpoint, model, prompt, cached, completion, implausible=implausible, usage=usage
        )
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


def ends_of(answer: Sequence[bytes], api: str) -> tuple[bytes, bytes]:
    """The parts of an answer in which its usage stands. Anthropic's streams say at their beginning what went in, and
    again at their end; all others only at their end."""
    head = b"".join(answer[:3])[:_HEAD] if api == "anthropic" else b""
    return head, b"".join(answer[-3:])[-_TAIL:]


def usage_in(head: bytes, tail: bytes) -> Usage | None:
    """The tokens that an answer counts, read from `ends_of` it; None where it says none."""
    return read_usage(merged(_last_usage(head), _last_usage(tail)), service_tier=priced_tier(tail))


def usd_of(charge: Charge, config: GatewayConfig, *, at: datetime) -> Decimal | None:
    """What a bill comes to: the endpoint's own price, else its maker's list price; None where neither is known."""
    flat = config.prices.get(charge.endpoint)
    try:
        return request_price(
            charge.model,
            charge.counted(),
            at=at,
            flat=flat_price(flat),
        )
    except (UsageError, MissingExtraError):
        return None


def _last_usage(data: bytes) -> Any:
    """The last object of token counts in a part of an answer; None where there is none, or it is cut off."""
    for found in reversed(list(_USAGE.finditer(data))):
        try:
            return _decoder.raw_decode(data[found.end() :].decode("utf-8", "replace"))[0]
        except ValueError:
            continue
    return None


def priced_tier(data: bytes) -> str | None:
    """The last service tier with a price of its own that a request or an answer names."""
    found = _TIER.findall(data)
    return found[-1].decode() if found else None
