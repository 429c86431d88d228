"""What a mixture saves: a deferred request costs the incumbent's price, and in a cascade the candidate's work too."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from freehold.costs.prices import flat_price
from freehold.errors import FreeholdError
from freehold.types.config import PriceConfig
from freehold.types.deferral import DeferralWay
from freehold.types.mixture import MixtureCost
from freehold.types.selected import RequestCost
from freehold.workflows.choose.traffic import StatedTraffic, price_traffic
from freehold.workflows.journey.paying import PricedModel
from freehold.workflows.project import Project

_THOUSAND = Decimal(1000)
_DIGITS = 4
_NO_COUNT = "how many requests come in a month is not known: freehold cost --requests-per-month N"
_STATE_IT = "price = { prompt = …, completion = … }"


class Paid(NamedTuple):
    """What the incumbent's requests cost, and how many there are; None is not known, `why` says how to know it."""

    usd_per_1000: Decimal | None
    requests_per_month: Decimal | None
    why: str


def paid(project: Project, model: str, price: PriceConfig | None) -> Paid:
    """What 1,000 requests like those of the traces cost by a stated price (None: the catalog's), and how many come in a
    month."""
    flat = flat_price(price)
    try:
        found = price_traffic(project, model, flat=flat)
        month: Decimal | None = found.traffic.requests_per_month
    except FreeholdError:
        try:
            found, month = price_traffic(project, model, StatedTraffic(_THOUSAND), flat), None
        except FreeholdError as error:
            way = error.hint or f"state it: {_STATE_IT}"
            return Paid(None, None, f"the price of {model} is not known ({error.message}); {way}")
    return Paid(found.bill.usd_per_request.low * _THOUSAND, month, f"{model}: {found.bill.basis}")


def paid_upper(project: Project, upper: PricedModel) -> Paid:
    """The upper model's, by the price of its ``[[endpoints]]``."""
    stated = next((one.price for one in project.config.endpoints if one.name == upper.endpoint.name), None)
    if stated is None:
        way = f"{_STATE_IT} in its [[endpoints]]"
        return Paid(None, None, f"the price of {upper.model} is not known: {way}")
    return paid(project, upper.model, stated)


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
            *(
                ()
                if incumbent.usd_per_1000 is None or incumbent.requests_per_month is not None
                else (_NO_COUNT,)
            ),
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
