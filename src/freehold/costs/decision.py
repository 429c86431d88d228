"""Bill against self-hosting: the traffic where they meet, and a plain sentence."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from freehold.errors import UsageError
from freehold.types.cost import Advice, Bill, Cost, Ending, Range, SelfHost, Traffic
from freehold.types.machine import Speed


def part_of(bill: Bill, share: Decimal) -> Bill:
    """The bill where only a share of the requests is sent: a month's, and one request's on average."""
    month, request = (
        Range(low=one.low * share, high=one.high * share)
        for one in (bill.usd_per_month, bill.usd_per_request)
    )
    return msgspec.structs.replace(bill, usd_per_month=month, usd_per_request=request)


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


class After(NamedTuple):
    """When the rented model is shut down, and what the model that its maker names in its place would charge; None: no
    end, no name or no price of it is known."""

    ending: Ending | None = None
    replacement: Bill | None = None


NO_END = After()


def today_and_after(bill: Bill, after: After, today: date, sample: str = "") -> str:
    """What the rented model costs; where it ends, when, and what the one named in its place would cost. `sample` says
    from which part of the traffic, where not from all."""
    about = "about " if sample else ""
    now = f"{bill.model} costs {about}{money(bill.usd_per_month)} a month for this traffic{sample}"
    if after.ending is None:
        return f"{now}."
    named, then = after.ending.replacement, ""
    if after.replacement is not None:
        then = f", {named} would cost {about}{money(after.replacement.usd_per_month)}"
    elif named is not None:
        then = f"; the price of {named} is not known"
    return f"{after.ending.text(today)}. {now}{then}."


def sentence(
    traffic: Traffic,
    bill: Bill,
    hosted: SelfHost,
    meet: Range,
    found: Advice,
    copy: HostedCopy | None = None,
    fallback: Range | None = None,
) -> str:
    """The advice in one or two sentences, with the cheapest hosted copy of the same model where there is one. `bill` is
    that of the model that would be stayed with, `fallback` what holding costs with it as fallback."""
    paid, held = money(bill.usd_per_month), money(hosted.usd_per_month)
    held = f"holding {named(hosted)} costs {held}"
    if fallback is not None:
        held += f", with {bill.model} as fallback {money(fallback)}"
    both = f"{bill.model} costs {paid} a month for this traffic, {held}"
    other = _copy(bill, hosted, copy)
    if found == "leave":
        return f"Leave: {both}.{other}"
    if found == "stay":
        if copy is not None and copy[1] < bill.usd_per_month.low:
            return f"Do not hold it: {both}.{other}"
        tail = (
            f" Holding pays from about {about(meet.low)} requests a month; you have "
            f"{traffic.requests_per_month:,.0f}."
            if meet.low.is_finite()
            else " A request costs nothing there, so holding never pays."
            if bill.usd_per_request.high <= 0
            else " This machine never catches up: it serves too few requests for its price."
        )
        return f"On cost alone, stay on the API: {both}.{tail}{other}"
    return f"Not decidable by cost: {both}; the ranges overlap. Measure the speed or fix the machine's price.{other}"


def named(hosted: SelfHost) -> str:
    """The model, in which form, and where."""
    form = f" as {hosted.served_as}" if hosted.served_as else ""
    return f"{hosted.model}{form} on {hosted.machine}"


def _copy(bill: Bill, hosted: SelfHost, copy: HostedCopy | None) -> str:
    """What a hosted copy costs, and whether it is the cheapest of the three."""
    if copy is None:
        return ""
    who, usd = copy
    least = usd < min(bill.usd_per_month.low, hosted.usd_per_month.low)
    return f" {who} hosts the same model for {usd_text(usd)}{', less than either' if least else ''}."


def money(amount: Range) -> str:
    """``$12.30`` or ``$10 to $40``."""
    if amount.low == amount.high:
        return usd_text(amount.low)
    return f"{usd_text(amount.low)} to {usd_text(amount.high)}"


def usd_text(amount: Decimal) -> str:
    """``$12.30``, ``$1,234``, ``$0.0012``."""
    if 0 < amount < Decimal("0.01"):
        return f"${amount:.2g}"
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"


def about(value: Decimal) -> str:
    """An estimated number of requests, with the two digits that it deserves."""
    return f"{float(f'{value:.2g}'):,.0f}"


def decide(
    traffic: Traffic,
    bill: Bill,
    hosted: SelfHost,
    *,
    after: After = NO_END,
    rest: Decimal = Decimal(0),
    sensitivity: tuple[tuple[str, Advice], ...] = (),
    hosted_open: tuple[tuple[str, Decimal], ...] = (),
) -> Cost:
    """Join bill and self-hosting. Its id and what it was made from are left empty; the workflow sets them.

    `rest` is the share of the requests that the rented model goes on answering: holding spares the others' bill. Of a
    rented model that ends, what is named in its place is weighed; where that has no known price, nothing can be stayed
    with.
    """
    stay = after.replacement or bill
    spared, kept = part_of(stay, 1 - rest), part_of(stay, rest).usd_per_month
    found = advice(spared, hosted)
    meet = break_even(spared, hosted)
    fallback = None
    if rest and (after.ending is None or after.replacement is not None):
        held = hosted.usd_per_month
        fallback = Range(low=held.low + kept.low, high=held.high + kept.high)
    said = sentence(traffic, stay, hosted, meet, found, hosted_open[0] if hosted_open else None, fallback)
    if after.ending is not None:
        head = today_and_after(bill, after, datetime.now(UTC).date())
        if after.replacement is None:
            found = "leave" if found == "leave" else "undecided"
            said = f"Holding {named(hosted)} costs {money(hosted.usd_per_month)} a month."
        said = f"{head} {said}"
    reasons = [f"bill: {bill.basis}", *([] if stay is bill else [f"replacement: {stay.basis}"])]
    reasons += [f"holding: {hosted.basis}", f"traffic: {traffic.how}"]
    reasons += [*bill.notes, *hosted.notes]
    if traffic.estimated_share > 0:
        reasons.append(
            f"{traffic.estimated_share:.0%} of requests had no token counts; theirs are estimated by characters"
        )
    if traffic.reasoning_tokens > 0:
        reasons.append(
            f"{traffic.reasoning_tokens:,.0f} of {traffic.completion_tokens:,.0f} completion tokens are hidden "
            "reasoning: billed on the API, and not written by a held model, which has its own"
        )
    if traffic.audio_tokens > 0:
        reasons.append(
            f"{traffic.audio_tokens:,.0f} tokens a request are sound, billed at its price: a model that reads text "
            "alone cannot take these requests over"
        )
    if hosted_open and hosted_open[0][1] < min(stay.usd_per_month.low, hosted.usd_per_month.low):
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
        with_fallback=fallback,
        break_even_requests_per_month=meet,
        advice=found,
        ending=after.ending,
        replacement=after.replacement,
        sentence=said,
        reasons=tuple(reasons),
        sensitivity=sensitivity,
        hosted_open=hosted_open,
    )


HOURS_PER_MONTH = Decimal("730.5")
"""365.25 days / 12 months × 24 hours."""
TARGET_UTILISATION = 0.6
"""How busy a machine may be at the peak (queues grow steeply above this)."""


class Rented(NamedTuple):
    """A machine by the hour."""

    usd_per_hour: Range

    def basis(self) -> str:
        """What is counted."""
        ends = dict.fromkeys(f"${end:,.2f}" for end in (self.usd_per_hour.low, self.usd_per_hour.high))
        return f"rented at {' to '.join(ends)} an hour"


class Owned(NamedTuple):
    """A machine that is bought: written off over its life, with its power (`watts` on average, cooling included). One
    that is paid for already costs 0 to purchase."""

    purchase_usd: Range
    watts: float
    usd_per_kwh: Decimal = Decimal("0.25")
    life_years: Decimal = Decimal(4)

    def basis(self) -> str:
        """What is counted."""
        power = f"{self.watts:,.0f} W at ${self.usd_per_kwh} a kilowatt-hour"
        if not self.purchase_usd.high:
            return f"owned already: its power alone, {power}"
        paid = " to ".join(
            dict.fromkeys(f"${end:,.0f}" for end in (self.purchase_usd.low, self.purchase_usd.high))
        )
        return f"owned: {paid} written off over {self.life_years} years, and power, {power}"


def machine_month(machine: Rented | Owned) -> Range:
    """Dollars for one machine and month, running all the time."""
    if isinstance(machine, Rented):
        low, high = machine.usd_per_hour.low, machine.usd_per_hour.high
        if low < 0 or high < low:
            raise UsageError(f"a price of {low} to {high} dollars an hour makes no sense")
        return Range(low=low * HOURS_PER_MONTH, high=high * HOURS_PER_MONTH)
    least = min(machine.purchase_usd.low, Decimal(str(machine.watts)), machine.usd_per_kwh)
    if not least >= 0 or machine.life_years <= 0:
        raise UsageError(
            "a machine, its power and a kilowatt-hour cost 0 or more, and its life is above 0 years"
        )
    power = Decimal(str(machine.watts)) / 1000 * HOURS_PER_MONTH * machine.usd_per_kwh
    months = machine.life_years * 12
    return Range(
        low=machine.purchase_usd.low / months + power, high=machine.purchase_usd.high / months + power
    )


def self_host(
    model: str,
    machine_name: str,
    traffic: Traffic,
    speed: Speed,
    machine: Rented | Owned,
    *,
    least_machines: int = 1,
    utilisation: float = TARGET_UTILISATION,
) -> SelfHost:
    """Machines and dollars a month for the traffic, with both ends of the speed's range.

    One request keeps a machine busy for its uncached prompt at prefill speed plus its answer at the decode
    speed of a full batch. Machines are whole, and as many as the busiest hour needs. Requests that may wait (batches)
    do not add to the peak. The traffic is as this model would answer it.
    """
    if not 0 < utilisation <= 1:
        raise UsageError(f"utilisation is {utilisation}, expected above 0 to 1")
    prompt = float(traffic.prompt_tokens - traffic.cached_prompt_tokens)
    completion = float(traffic.completion_tokens)
    peak = traffic.peak_factor * (1 - traffic.batch_share) + traffic.batch_share
    capacity = []
    for end in (0, 1):
        busy = prompt / speed.prefill_tokens_per_second[end]
        busy += completion / speed.decode_all_tokens_per_second[end]
        seconds = float(HOURS_PER_MONTH) * 3600 * utilisation
        capacity.append(seconds / busy / peak if busy > 0 else math.inf)
    wanted = float(traffic.requests_per_month)
    machines = [
        max(least_machines, math.ceil(wanted / room)) if wanted else least_machines for room in capacity
    ]
    price = machine_month(machine)
    return SelfHost(
        model=model,
        machine=machine_name,
        machines=(min(machines), max(machines)),
        usd_per_month=Range(low=price.low * min(machines), high=price.high * max(machines)),
        usd_per_machine_month=price,
        requests_per_machine_month=(min(capacity), max(capacity)),
        concurrency=speed.concurrency,
        basis=f"{machine.basis()}; busy at most {utilisation:.0%} in the busiest hour "
        f"({peak:.1f} × the average); speed {speed.how} for {speed.concurrency} at once",
    )
