"""Bill against self-hosting: the traffic where they meet, and a plain sentence."""

from __future__ import annotations

from decimal import Decimal

from freehold.types.cost import Advice, Bill, Cost, Range, SelfHost, Traffic


def advice(bill: Bill, hosted: SelfHost) -> Advice:
    """Leave when even the high end of holding is below the bill's low end; stay in the opposite case."""
    if hosted.usd_per_month.high < bill.usd_per_month.low:
        return "leave"
    if hosted.usd_per_month.low > bill.usd_per_month.high:
        return "stay"
    return "undecided"


def break_even(bill: Bill, hosted: SelfHost) -> Range:
    """Requests a month from which holding is cheaper: lowest and highest plausible.

    Below one machine's capacity holding costs one machine whatever the traffic, so they meet at its price
    over the price of a request. Where a machine serves fewer requests than that, more machines are needed and
    the point moves up with them; if a machine's month buys fewer requests than it serves, it never comes
    (infinite).
    """
    low = _meet(
        hosted.usd_per_machine_month.low, bill.usd_per_request.high, hosted.requests_per_machine_month[1]
    )
    high = _meet(
        hosted.usd_per_machine_month.high, bill.usd_per_request.low, hosted.requests_per_machine_month[0]
    )
    return Range(low=low, high=high)


def _meet(machine_usd: Decimal, request_usd: Decimal, capacity: float) -> Decimal:
    if request_usd <= 0:
        return Decimal("Infinity")
    point = machine_usd / request_usd
    # Beyond capacity each further machine brings the same capacity and the same price.
    return point if float(point) <= capacity else Decimal("Infinity")


HostedCopy = tuple[str, Decimal]
"""Who hosts a model, and dollars a month for the traffic."""


def sentence(
    traffic: Traffic, bill: Bill, hosted: SelfHost, meet: Range, found: Advice, copy: HostedCopy | None = None
) -> str:
    """The advice in one or two sentences, with the cheapest hosted copy of the same model where there is one."""
    paid, held = money(bill.usd_per_month), money(hosted.usd_per_month)
    held = f"holding {hosted.model} on {hosted.machine} costs {held}"
    both = f"{bill.model} costs {paid} a month for this traffic, {held}"
    other = _copy(bill, hosted, copy)
    if found == "leave":
        return f"Leave: {both}.{other}"
    if found == "stay":
        if copy is not None and copy[1] < bill.usd_per_month.low:
            return f"Do not hold it: {both}.{other}"
        tail = (
            f" Holding pays from about {_count(meet.low)} requests a month; you have "
            f"{_count(traffic.requests_per_month)}."
            if meet.low.is_finite()
            else " A request costs nothing there, so holding never pays."
            if bill.usd_per_request.high <= 0
            else " This machine never catches up: it serves too few requests for its price."
        )
        return f"Stay on the API as far as money goes: {both}.{tail}{other}"
    return f"Not decidable by cost: {both}; the ranges overlap. Measure the speed or fix the machine's price.{other}"


def _copy(bill: Bill, hosted: SelfHost, copy: HostedCopy | None) -> str:
    """What a hosted copy costs, and whether it is the cheapest of the three."""
    if copy is None:
        return ""
    who, usd = copy
    least = usd < min(bill.usd_per_month.low, hosted.usd_per_month.low)
    return f" {who} hosts the same model for {_usd(usd)}{', less than either' if least else ''}."


def money(amount: Range) -> str:
    """``$12.30`` or ``$10 to $40``."""
    if amount.low == amount.high:
        return _usd(amount.low)
    return f"{_usd(amount.low)} to {_usd(amount.high)}"


def _usd(amount: Decimal) -> str:
    if 0 < amount < Decimal("0.01"):
        return f"${amount:.2g}"
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"


def _count(value: Decimal) -> str:
    return f"{value:,.0f}" if value.is_finite() else "no number of"


def decide(
    traffic: Traffic,
    bill: Bill,
    hosted: SelfHost,
    *,
    sensitivity: tuple[tuple[str, Advice], ...] = (),
    hosted_open: tuple[tuple[str, Decimal], ...] = (),
    made_from: tuple[str, ...] = (),
    version: str = "",
) -> Cost:
    """Join bill and self-hosting. The id is left empty; the workflow sets it."""
    found = advice(bill, hosted)
    meet = break_even(bill, hosted)
    reasons = [f"bill: {bill.basis}", f"holding: {hosted.basis}", f"traffic: {traffic.how}"]
    reasons += [*bill.notes, *hosted.notes]
    if traffic.estimated_share > 0:
        reasons.append(
            f"{traffic.estimated_share:.0%} of requests had no token counts; theirs are estimated by characters"
        )
    if traffic.reasoning_tokens > 0:
        reasons.append(
            f"{traffic.reasoning_tokens:,.0f} of {traffic.completion_tokens:,.0f} completion tokens are hidden "
            "reasoning: billed, and not counted for holding a model that does not reason"
        )
    if traffic.repeats_per_month > 0:
        reasons.append(
            f"{traffic.repeats_per_month:,.0f} requests a month more are exact repeats that the gateway answers from "
            "its memory: they cost nothing on either side and are not counted"
        )
    if traffic.audio_tokens > 0:
        reasons.append(
            f"{traffic.audio_tokens:,.0f} tokens a request are sound, billed at its price: a model that reads text "
            "alone cannot take these requests over"
        )
    if hosted_open and hosted_open[0][1] < min(bill.usd_per_month.low, hosted.usd_per_month.low):
        reasons.append(f"with a hosted copy your requests go to {hosted_open[0][0]}: read its terms")
    if traffic.batch_share > 0:
        reasons.append(f"{traffic.batch_share:.0%} of requests billed at the batch discount")
    if traffic.requests_per_month == 0:
        reasons.append("no traffic: nothing is paid on the API, a machine costs the same when idle")
    return Cost(
        id="",
        traffic=traffic,
        bill=bill,
        self_host=hosted,
        break_even_requests_per_month=meet,
        advice=found,
        sentence=sentence(traffic, bill, hosted, meet, found, hosted_open[0] if hosted_open else None),
        reasons=tuple(reasons),
        sensitivity=sensitivity,
        hosted_open=hosted_open,
        made_from=made_from,
        version=version,
    )
