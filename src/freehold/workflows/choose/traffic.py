"""The traffic of a project and the incumbent's bill for it: from its traces, or as stated on the command line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from freehold.catalog.retirements import ending_of
from freehold.costs import decision, prices
from freehold.costs import traffic as figures
from freehold.costs.decision import NO_END, After
from freehold.costs.prices import TokenPrice
from freehold.datasets.importing import Imported
from freehold.errors import MissingExtraError, UsageError
from freehold.store import open_store
from freehold.types.cost import Bill, Range, Traffic
from freehold.types.record import content_id
from freehold.types.trace import Trace, Usage
from freehold.wire.usage import usage_of
from freehold.workflows.project import Project, now


class StatedTraffic(NamedTuple):
    """Numbers given on the command line; None is unknown. Without token counts the traces are used."""

    requests_per_month: Decimal | None = None
    prompt_tokens: Decimal | None = None
    completion_tokens: Decimal | None = None


_FIELDS = Usage.__struct_fields__
NOTHING_STATED = StatedTraffic()


class PricedTraffic(NamedTuple):
    """A month's traffic, what the incumbent charges for it, what both were made from, and what comes after it."""

    traffic: Traffic
    bill: Bill
    made_from: tuple[str, ...] = ()
    after: After = NO_END
    sample: str = ""
    """From which part of the traces this is, where not from all."""

    @property
    def sentence(self) -> str:
        """What the incumbent costs; where it ends, when, and what its replacement would cost."""
        return decision.today_and_after(self.bill, self.after, now().date(), self.sample)


def price_traffic(
    project: Project,
    incumbent: str | None = None,
    stated: StatedTraffic = NOTHING_STATED,
    flat: TokenPrice | None = None,
    *,
    most: int | None = None,
) -> PricedTraffic:
    """The traffic, as stated or else from the project's traces, and what `incumbent` (default: the project's) costs for
    it. Of more than `most` traces, about that many are read, evenly spread, and the month's requests follow from when
    the first and the last of all came.

    `flat` is a price for each token instead of the price list's; without it, what `[incumbent] price` says of this
    model. Raises `UsageError` for no incumbent, no traffic and no known price, `MissingExtraError` without the price
    list.
    """
    configured = project.config.incumbent
    if incumbent is None and configured is not None:
        incumbent = configured.model
    if not incumbent:
        raise UsageError("no incumbent is named", hint="--incumbent gpt-4o, or [incumbent] in freehold.toml")
    if flat is None and configured is not None and configured.model == incumbent:
        flat = prices.flat_price(configured.price)
    if stated.prompt_tokens is not None or stated.completion_tokens is not None:
        traffic = _as_stated(stated)
        usage = Usage(
            prompt_tokens=int(traffic.prompt_tokens),
            completion_tokens=int(traffic.completion_tokens),
        )
        return _priced(incumbent, traffic, [usage], flat)
    rate, sample = stated.requests_per_month, ""
    with open_store(project.reading_url) as store:
        spread = None if most is None else store.spread_traces(most)
        read = list(store.traces() if spread is None else spread.traces)
    traces = [trace for trace in read if trace.parent_id is None]
    if spread is not None and 0 < len(read) < spread.of and rate is None:
        sample = f" (from {len(read):,} of {spread.of:,} requests)"
        rate, _ = figures.rate(spread.of * len(traces) // len(read), spread.days)
    priced = price_requests([logged(trace, trace.at) for trace in traces], incumbent, rate, flat)
    bill = msgspec.structs.replace(
        priced.bill,
        basis=priced.bill.basis + _others(traces, incumbent),
        notes=priced.bill.notes + _currencies(traces),
    )
    made_from = (f"traces:{content_id([trace.id for trace in traces])}",)
    return priced._replace(bill=bill, made_from=made_from, sample=sample)


def price_requests(
    requests: Sequence[figures.LoggedRequest],
    incumbent: str,
    requests_per_month: Decimal | None = None,
    flat: TokenPrice | None = None,
) -> PricedTraffic:
    """The traffic of logged requests, and what `incumbent` costs for it. Raises as `price_traffic`."""
    traffic = figures.from_requests(requests, requests_per_month=requests_per_month)
    usages = [one.counted()[0] for one in requests]
    priced = _priced(incumbent, traffic, usages, flat)
    of_all = f", {len(usages):,} traces, each with its own tokens"
    return priced._replace(bill=msgspec.structs.replace(priced.bill, basis=priced.bill.basis + of_all))


def _priced(
    incumbent: str, traffic: Traffic, usages: Sequence[Usage], flat: TokenPrice | None
) -> PricedTraffic:
    """Of a month whose requests are like these. What is named in the place of a model that ends is priced as well,
    where its price is known."""
    bill, ending, replacement = _bill(incumbent, traffic, usages, flat), ending_of(incumbent), None
    if ending is not None and ending.replacement is not None:
        with suppress(UsageError, MissingExtraError):
            replacement = _bill(ending.replacement, traffic, usages, None)
    return PricedTraffic(traffic, bill, after=After(ending, replacement))


def _bill(model: str, traffic: Traffic, usages: Sequence[Usage], flat: TokenPrice | None) -> Bill:
    """The bill of a month whose requests are like these."""
    each = prices.total_price(model, usages, flat=flat) / len(usages)
    month, basis = each * traffic.requests_per_month, prices.price_basis(model, flat=flat)
    return Bill(
        model=model,
        usd_per_request=Range(low=each, high=each),
        usd_per_month=Range(low=month, high=month),
        basis=basis.text,
        prices_of=None if basis.newest_change is None else basis.newest_change.isoformat(),
        notes=basis.notes,
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
    )


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


def _currencies(traces: list[Trace]) -> tuple[str, ...]:
    """A note where the log itself names amounts of money: they are not what is counted here."""
    named = Counter(
        str(value).upper()
        for trace in traces
        for key, value in trace.metadata.items()
        if key.lower() == "currency" and value
    )
    if not named or set(named) == {"USD"}:
        return ()
    said = " and ".join(f"{name} {count:,}" for name, count in named.most_common(4))
    return (
        f"the log names amounts in {said}: they are not added up; the bill is tokens times the price in US dollars",
    )


def logged(found: Trace | Imported, at: datetime) -> figures.LoggedRequest:
    """What a request that was asked at a time tells about cost. Characters are counted where tokens are not known."""
    usage = _usage(found)
    is_counted = usage is not None and None not in (usage.prompt_tokens, usage.completion_tokens)
    return figures.LoggedRequest(
        at=at,
        usage=usage,
        prompt_characters=0 if is_counted else len(text_of(found.request.get("messages"))),
        completion_characters=0 if is_counted else len(text_of((found.response or {}).get("choices"))),
    )


def _usage(found: Trace | Imported) -> Usage | None:
    """Its counts. What they lack the answer's body may have."""
    usage, told = found.usage, usage_of(found.response)
    if usage is None or told is None or told.prompt_tokens != usage.prompt_tokens:
        return usage or told
    lacking = {name: getattr(told, name) for name in _FIELDS if getattr(usage, name) is None}
    return msgspec.structs.replace(usage, **lacking)


def text_of(value: Any) -> str:
    """All text inside messages or choices."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(text_of, value))
    if isinstance(value, dict):
        inside = ("content", "text", "message", "tool_calls", "arguments")
        return "".join(text_of(value.get(key)) for key in inside)
    return ""
