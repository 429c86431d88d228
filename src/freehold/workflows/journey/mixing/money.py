"""What a mixture saves: a deferred request costs the incumbent's price, and in a cascade the candidate's work too."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from freehold.costs.prices import flat_price
from freehold.errors import FreeholdError
from freehold.types.deferral import DeferralWay
from freehold.types.mixture import MixtureCost
from freehold.types.selected import RequestCost
from freehold.workflows.choose.traffic import StatedTraffic, price_traffic
from freehold.workflows.journey.paying import PricedModel
from freehold.workflows.project import Project

_THOUSAND = Decimal(1000)
_DIGITS = 4


class Paid(NamedTuple):
    """What the incumbent's requests cost, and how many there are; None is not known, `why` says how to know it."""

    usd_per_1000: Decimal | None
    requests_per_month: Decimal | None
    why: str


def paid(project: Project, incumbent: str) -> Paid:
    """The incumbent's price of 1,000 requests like those of the traces, and how many come in a month."""
    stated = project.config.incumbent.price if project.config.incumbent is not None else None
    flat = flat_price(stated)
    try:
        found = price_traffic(project, incumbent, flat=flat)
        month: Decimal | None = found.traffic.requests_per_month
    except FreeholdError:
        try:
            found = price_traffic(project, incumbent, StatedTraffic(_THOUSAND), flat)
        except FreeholdError as error:
            way = "state it: [incumbent] price = { prompt = …, completion = … }"
            return Paid(
                None, None, f"the price of {incumbent} is not known ({error.message}); {error.hint or way}"
            )
        month = None
    usd = found.bill.usd_per_request.low * _THOUSAND
    why = f"{incumbent}: {found.bill.basis}"
    if month is None:
        why += "; how many requests come in a month is not known: freehold cost --requests-per-month N"
    return Paid(usd, month, why)


def paid_upper(project: Project, upper: PricedModel) -> Paid:
    """The upper model's price of 1,000 requests like those of the traces, by the price of its ``[[endpoints]]``."""
    named = (one for one in project.config.endpoints if one.name == upper.endpoint.name)
    stated = next((one.price for one in named), None)
    if stated is None:
        way = "price = { prompt = …, completion = … } in its [[endpoints]]"
        return Paid(None, None, f"the price of {upper.model} is not known: {way}")
    try:
        found = price_traffic(project, upper.model, StatedTraffic(_THOUSAND), flat_price(stated))
    except FreeholdError as error:
        return Paid(None, None, f"the price of {upper.model} is not known ({error.message})")
    return Paid(found.bill.usd_per_request.low * _THOUSAND, None, f"{upper.model}: {found.bill.basis}")


def mixture_cost(
    way: DeferralWay,
    share: float,
    incumbent: Paid,
    candidate: RequestCost,
    deferred: Paid | None = None,
) -> MixtureCost:
    """Dollars for 1,000 requests of which `share` is answered here; `deferred` is who answers the rest (None: the
    incumbent)."""
    here, rest = Decimal(str(share)), deferred or incumbent
    asked = Decimal(1) if way == "cascade" else here
    mixed = None
    if rest.usd_per_1000 is not None and candidate.usd_per_1000 is not None:
        mixed = _rounded(candidate.usd_per_1000 * asked + rest.usd_per_1000 * (1 - here))
    return MixtureCost(
        incumbent_usd=None if incumbent.usd_per_1000 is None else _rounded(incumbent.usd_per_1000),
        candidate_usd=candidate.usd_per_1000,
        mixture_usd=mixed,
        why=(
            incumbent.why,
            f"candidate: {candidate.why}",
            *(() if rest is incumbent else (f"upper model: {rest.why}",)),
        ),
    )


def saved_per_month(cost: MixtureCost, incumbent: Paid) -> Decimal | None:
    """Dollars; None where a price or the number of requests is not known."""
    if cost.saved_usd is None or incumbent.requests_per_month is None:
        return None
    return (cost.saved_usd * incumbent.requests_per_month / _THOUSAND).quantize(Decimal("0.01"))


def _rounded(usd: Decimal) -> Decimal:
    """To four significant digits: more are not known."""
    return Decimal(f"{usd:.{_DIGITS}g}").normalize() + 0 if usd else Decimal(0)
