"""What 1,000 requests to a candidate cost: by an endpoint's price, or by the speed measured here and the machine's."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from urllib.parse import urlsplit

from freehold.catalog import rentals
from freehold.costs.prices import flat_price, request_price
from freehold.costs.self_host import TARGET_UTILISATION
from freehold.errors import MissingExtraError, UsageError
from freehold.types.config import ProjectConfig
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import LatencySummary
from freehold.types.machine import Machine
from freehold.types.selected import RequestCost, SelectionScores
from freehold.types.trace import Usage
from freehold.workflows.journey.methods import Candidate
from freehold.workflows.journey.methods.method import endpoint_of

USD_PER_CORE_HOUR = Decimal("0.05")
"""Assumed of a machine without accelerators where nothing is stated: list prices of general-purpose instances lie
between about 1 and 6 cents. Candidates that run on one machine keep their order whatever it is."""
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_DIGITS = 4


class HourPrice(NamedTuple):
    """Dollars for an hour of this machine, and where that is from."""

    usd: Decimal
    why: str


def request_cost(
    candidate: Candidate, plan: ServePlan, scores: SelectionScores, config: ProjectConfig, machine: Machine
) -> RequestCost:
    """The cost of requests like those of the selection split.

    A price that is stated, and not zero, counts also of an address on this machine, which may pass requests on.
    """
    if _states_price(candidate, config) or not _runs_here(plan):
        return _priced(candidate, plan, scores.latency, config)
    if scores.seconds_per_request is None:
        return RequestCost(usd_per_1000=None, basis="unknown", why="no request was timed")
    hour = hour_price(config, machine)
    seconds = Decimal(str(scores.seconds_per_request)) * 1000
    usd = seconds / 3600 * hour.usd / Decimal(str(TARGET_UTILISATION))
    return RequestCost(
        usd_per_1000=_rounded(usd),
        basis="measured_here",
        why=f"{seconds:.1f} s of {machine.name} for 1,000 requests, busy {TARGET_UTILISATION:.0%} of the time, at "
        f"{hour.why}",
        machine_hour=hour.why,
    )


def hour_price(config: ProjectConfig, machine: Machine) -> HourPrice:
    """What an hour of this machine costs: as stated, else what its accelerators rent for, else an assumption."""
    stated = config.selection.usd_per_hour
    if stated is not None:
        return HourPrice(stated, f"${stated} an hour ([selection] usd_per_hour)")
    found = [rentals.rental_price(device.name) for device in machine.accelerators]
    known = [(one.usd_per_hour.low + one.usd_per_hour.high) / 2 for one in found if one is not None]
    if known and len(known) == len(found):
        usd = sum(known, Decimal(0))
        return HourPrice(usd, f"${usd:.2f} an hour (middle of rental prices)")
    usd = USD_PER_CORE_HOUR * machine.cores
    return HourPrice(
        usd,
        f"${usd:.2f} an hour (assumed: {USD_PER_CORE_HOUR * 100:.0f} cents a core; state yours as "
        "[selection] usd_per_hour)",
    )


def _states_price(candidate: Candidate, config: ProjectConfig) -> bool:
    price = endpoint_of(config, candidate.endpoint).price if candidate.endpoint is not None else None
    return price is not None and bool(price.prompt or price.completion)


def _runs_here(plan: ServePlan) -> bool:
    """Whether this machine answers: one of localhost is not rented."""
    return not plan.engine_kind.is_rented or urlsplit(str(plan.options.get("base_url", ""))).hostname in _HERE


def _priced(
    candidate: Candidate, plan: ServePlan, latency: LatencySummary, config: ProjectConfig
) -> RequestCost:
    """By the endpoint's own price, else its model's list price, for as many tokens as were counted."""
    price = endpoint_of(config, candidate.endpoint).price if candidate.endpoint is not None else None
    if not latency.n or latency.prompt_tokens is None:
        return RequestCost(usd_per_1000=None, basis="unknown", why="the endpoint counts no tokens")
    prompt, completion = latency.prompt_tokens / latency.n, (latency.completion_tokens or 0) / latency.n
    flat = flat_price(price)
    try:
        usage = Usage(prompt_tokens=round(prompt), completion_tokens=round(completion))
        usd = 1000 * request_price(plan.model, usage, flat=flat)
    except (UsageError, MissingExtraError) as error:
        hint = "price = { prompt = …, completion = … } of its [[endpoints]] says it"
        return RequestCost(usd_per_1000=None, basis="unknown", why=f"{error.message}: {hint}")
    whose = f"the price of endpoint {candidate.endpoint}" if flat is not None else "its maker's list price"
    return RequestCost(
        usd_per_1000=_rounded(usd),
        basis="price",
        why=f"{prompt:,.0f} prompt and {completion:,.0f} completion tokens each, at {whose}",
    )


def _rounded(usd: Decimal) -> Decimal:
    """To four significant digits: more are not known."""
    return Decimal(f"{usd:.{_DIGITS}g}").normalize() + 0 if usd else Decimal(0)
