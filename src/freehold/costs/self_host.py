"""What holding a model costs: machines sized for the peak, rented by the hour or owned."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import NamedTuple

from freehold.errors import UsageError
from freehold.types.cost import Range, SelfHost, Traffic
from freehold.types.machine import Speed

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
    reasons: bool = False,
) -> SelfHost:
    """Machines and dollars a month for the traffic, with both ends of the speed's range.

    One request keeps a machine busy for its uncached prompt at prefill speed plus its answer at the decode
    speed of a full batch. Machines are whole, and as many as the busiest hour needs. Unless the model `reasons`
    too, the incumbent's reasoning tokens are not written. Requests that may wait (batches) do not add to the peak.
    """
    if not 0 < utilisation <= 1:
        raise UsageError(f"utilisation is {utilisation}, expected above 0 to 1")
    prompt = float(traffic.prompt_tokens - traffic.cached_prompt_tokens)
    completion = float(traffic.completion_tokens - (0 if reasons else traffic.reasoning_tokens))
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
