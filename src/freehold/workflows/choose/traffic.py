"""The traffic of a project and the incumbent's bill for it: from its traces, or as stated on the command line."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from freehold.costs import prices
from freehold.costs import traffic as figures
from freehold.costs.prices import TokenPrice
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.cost import Bill, Range, Traffic
from freehold.types.record import content_id
from freehold.types.trace import Trace
from freehold.workflows.project import Project

PRICED_TRACES = 20_000
"""Traces priced one by one; of more, this many evenly spread ones are."""


class StatedTraffic(NamedTuple):
    """Numbers given on the command line; None is unknown. Without token counts the traces are used."""

    requests_per_month: Decimal | None = None
    prompt_tokens: Decimal | None = None
    completion_tokens: Decimal | None = None
    cached_prompt_tokens: Decimal = Decimal(0)
    peak_factor: float | None = None
    reasoning_tokens: Decimal = Decimal(0)
    batch_share: float = 0.0


NOTHING_STATED = StatedTraffic()


class PricedTraffic(NamedTuple):
    """A month's traffic, what the incumbent charges for it, and what both were made from."""

    traffic: Traffic
    bill: Bill
    made_from: tuple[str, ...] = ()


def price_traffic(
    project: Project,
    incumbent: str,
    stated: StatedTraffic = NOTHING_STATED,
    flat: TokenPrice | None = None,
) -> PricedTraffic:
    """The traffic, as stated or else from the project's traces, and what `incumbent` costs for it.

    `flat` is a price for each token instead of the price list's. Raises `UsageError` for no traffic and no known price,
    `MissingExtraError` without the price list.
    """
    if stated.prompt_tokens is not None or stated.completion_tokens is not None:
        traffic = _as_stated(stated)
        each = prices.request_price(
            incumbent,
            prompt_tokens=int(traffic.prompt_tokens),
            completion_tokens=int(traffic.completion_tokens),
            cached_prompt_tokens=int(traffic.cached_prompt_tokens),
            flat=flat,
        )
        return PricedTraffic(traffic, _bill(incumbent, traffic, each, _price_basis(flat)))
    with open_store(project.reading_url) as store:
        traces = [trace for trace in store.traces() if trace.parent_id is None]
    traffic = _as_traced(traces, stated)
    priced = list(islice(traces, 0, None, max(1, -(-len(traces) // PRICED_TRACES))))
    total = Decimal(0)
    for trace in priced:
        request = _request(trace)
        prompt, completion, _ = request.tokens()
        total += prices.request_price(
            incumbent,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_prompt_tokens=min(request.cached_prompt_tokens, prompt),
            flat=flat,
        )
    basis = f"{_price_basis(flat)}, {len(priced):,} of {len(traces):,} traces priced one by one"
    basis += _others(traces, incumbent)
    bill = _bill(incumbent, traffic, total / len(priced), basis)
    return PricedTraffic(traffic, bill, (f"traces:{content_id([trace.id for trace in traces])}",))


def _bill(incumbent: str, traffic: Traffic, each: Decimal, basis: str) -> Bill:
    """The bill of a month whose requests cost `each` outside batches."""
    each = prices.with_batches(each, traffic.batch_share)
    month = each * traffic.requests_per_month
    return Bill(
        model=incumbent,
        usd_per_request=Range(low=each, high=each),
        usd_per_month=Range(low=month, high=month),
        basis=basis,
    )


def _as_stated(stated: StatedTraffic) -> Traffic:
    if None in (stated.prompt_tokens, stated.completion_tokens, stated.requests_per_month):
        raise UsageError(
            "traffic is stated in part",
            hint="state all: --requests-per-month, --prompt-tokens, --completion-tokens",
        )
    return figures.stated(
        requests_per_month=stated.requests_per_month or Decimal(0),
        prompt_tokens=stated.prompt_tokens or Decimal(0),
        completion_tokens=stated.completion_tokens or Decimal(0),
        cached_prompt_tokens=stated.cached_prompt_tokens,
        reasoning_tokens=stated.reasoning_tokens,
        batch_share=stated.batch_share,
        peak_factor=figures.DEFAULT_PEAK if stated.peak_factor is None else stated.peak_factor,
    )


def _as_traced(traces: list[Trace], stated: StatedTraffic) -> Traffic:
    traffic = figures.from_requests(map(_request, traces), requests_per_month=stated.requests_per_month)
    if not 0 <= stated.batch_share <= 1:
        raise UsageError(f"a share of {stated.batch_share} in batches makes no sense, expected 0 to 1")
    traffic = msgspec.structs.replace(traffic, batch_share=stated.batch_share)
    if stated.peak_factor is not None:
        figures.check_peak(stated.peak_factor)
        traffic = msgspec.structs.replace(traffic, peak_factor=stated.peak_factor)
    return traffic


def _others(traces: list[Trace], incumbent: str) -> str:
    """What to know when not all traces are of the model paid for: a snapshot and its alias count as one."""
    name = _without_snapshot(incumbent)
    counts = Counter(
        trace.model for trace in traces if trace.model and _without_snapshot(trace.model) != name
    )
    if not counts:
        return ""
    named = ", ".join(f"{model} {count:,}" for model, count in counts.most_common(3))
    return f"; {counts.total():,} of them were of other models ({named}) and are priced as {incumbent}"


def _without_snapshot(model: str) -> str:
    """``openai/gpt-4o-2024-08-06`` → ``gpt-4o``; ``gpt-4o-mini`` stays itself."""
    return re.sub(r"-(?:\d{4}-\d\d-\d\d|\d{8}|\d{4}|latest)$", "", model.rpartition("/")[2].lower())


def _price_basis(flat: TokenPrice | None) -> str:
    if flat is not None:
        return "prices as stated"
    from importlib.metadata import version

    return f"prices of genai-prices {version('genai-prices')}"


def _request(trace: Trace) -> figures.LoggedRequest:
    usage = trace.usage
    return figures.LoggedRequest(
        at=trace.at,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        cached_prompt_tokens=(usage.cached_prompt_tokens if usage else None) or 0,
        prompt_characters=_characters(trace.request.get("messages")),
        completion_characters=_characters((trace.response or {}).get("choices")),
        reasoning_tokens=_reasoning(trace),
    )


def _reasoning(trace: Trace) -> int:
    """Tokens of hidden reasoning, as OpenAI's usage has them (chat and responses)."""
    usage = (trace.response or {}).get("usage")
    for name in ("completion_tokens_details", "output_tokens_details"):
        details = usage.get(name) if isinstance(usage, dict) else None
        found = details.get("reasoning_tokens") if isinstance(details, dict) else None
        if isinstance(found, int) and found > 0:
            most = trace.usage.completion_tokens if trace.usage else None
            return min(found, most) if most is not None else found
    return 0


def _characters(value: Any) -> int:
    """Characters of all text inside messages or choices."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(_characters, value))
    if isinstance(value, dict):
        return sum(
            _characters(value.get(key)) for key in ("content", "text", "message", "tool_calls", "arguments")
        )
    return 0
