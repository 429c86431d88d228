"""Reading a licence's line against the figures of a use profile.

A figure may be stated, bounded by another one, or stood in for by a near one. The reading says which, so that an
answer can name what it rests on. A figure that a licence froze at a date is never read off a product's users of
today: they say nothing of that month. Where they are above the line the answer is open.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from freehold.types.license import Limit, Metric
from freehold.types.use import UseProfile

METRIC_NAMES: dict[Metric, str] = {
    "mau_group": "monthly active users of you and your affiliates",
    "mau_licensee": "monthly active users of the licensee",
    "mau_product": "monthly active users of the product",
    "annual_revenue": "annual revenue in US dollars",
    "group_revenue": "annual revenue of the whole group in US dollars",
    "monthly_revenue": "consolidated monthly revenue in US dollars",
    "employer_monthly_revenue": "monthly revenue of the employer in US dollars",
    "annual_recurring_revenue": "annual recurring revenue in US dollars",
    "dau": "daily active users of you and your affiliates",
}


class Figure(NamedTuple):
    """A figure as known: `low` ≤ truth ≤ `high` (None: no bound). `stands_in` names a substitute used.

    `today` are users of today where the line was frozen earlier, which neither prove nor exclude anything.
    """

    low: int | None
    high: int | None
    stands_in: str | None = None
    today: int | None = None


class Reading(NamedTuple):
    """Where the figure lies against the limit, and in words. `why` says what is open where the side is unclear."""

    side: Literal["above", "below", "unclear", "unknown"]
    line: str
    stands_in: str | None
    why: str = ""


def read(limit: Limit, use: UseProfile) -> Reading:
    """Compare what is known with a limit.

    ``unclear`` is the exact number of an ambiguous text, or users of today above a line that was frozen earlier.
    """
    when = "" if limit.frozen_at is None else f" in the calendar month before {limit.frozen_at}"
    line = f"{limit.above:,} {METRIC_NAMES[limit.metric]}{when}"
    figure = _figure(limit.metric, limit.frozen_at is not None, use)
    if figure.low is not None and figure.low > limit.above:
        return Reading("above", line, figure.stands_in)
    if figure.high is not None and figure.high < limit.above:
        return Reading("below", line, figure.stands_in)
    if figure.low == figure.high == limit.above:
        side: dict[str, Literal["above", "below", "unclear"]] = {
            "inside": "below", "outside": "above", "unclear": "unclear"
        }  # fmt: skip
        return Reading(side[limit.at], line, figure.stands_in, "on the line the text is ambiguous")
    if figure.today is not None:
        said = f"today's {figure.today:,} users say nothing of that month"
        if figure.today > limit.above:
            return Reading("unclear", line, None, f"{said}; state mau_group_month_before_release")
        return Reading("unknown", line, said)
    if figure.high is not None and figure.high == limit.above and limit.at == "inside":
        return Reading("below", line, figure.stands_in)
    bounded = figure.low is not None or figure.high is not None
    return Reading("unknown", line, figure.stands_in if bounded else None)


def _figure(metric: Metric, frozen: bool, use: UseProfile) -> Figure:
    if metric == "mau_group":
        return _group_users(use) if not frozen else _frozen_group_users(use)
    if metric == "mau_licensee":
        return _frozen_licensee_users(use) if frozen else _known(use.mau_licensee)
    if metric == "mau_product":
        return _product_users(use)
    if metric == "dau":
        return _daily_users(use)
    return _money(metric, use)


def _known(value: int | None, stands_in: str | None = None) -> Figure:
    return Figure(value, value, stands_in)


def _users_today(use: UseProfile) -> int | None:
    """The largest number of users today that the profile proves for the whole group."""
    parts = [use.mau_licensee, use.mau_affiliate]
    summed = sum(part for part in parts if part is not None) if any(p is not None for p in parts) else None
    known = [
        v for v in (use.mau_group_now, summed, use.mau_product, use.monthly_active_users) if v is not None
    ]
    return max(known, default=None)


def _group_users(use: UseProfile) -> Figure:
    if use.mau_group_now is not None:
        return _known(use.mau_group_now)
    today = _users_today(use)
    return Figure(today, today if use.mau_affiliate is not None else None)


def _frozen_group_users(use: UseProfile) -> Figure:
    if use.mau_group_month_before_release is not None:
        return _known(use.mau_group_month_before_release)
    if use.mau_licensee_month_before_release is not None:
        return Figure(use.mau_licensee_month_before_release, None)
    return _undated(use)


def _frozen_licensee_users(use: UseProfile) -> Figure:
    if use.mau_licensee_month_before_release is not None:
        return _known(use.mau_licensee_month_before_release)
    if use.mau_group_month_before_release is not None:
        return _known(use.mau_group_month_before_release, "the group's users stand in for the licensee's")
    if use.mau_licensee is not None:
        return Figure(use.mau_licensee, None, "the licensee's users are taken to be those of that month")
    return Figure(None, None, today=_users_today(use))


def _undated(use: UseProfile) -> Figure:
    """Users of licensee and affiliates without a date, else those of today, which prove nothing of an earlier month."""
    parts = [part for part in (use.mau_licensee, use.mau_affiliate) if part is not None]
    if use.mau_affiliate is not None:
        return Figure(
            sum(parts), None, "the users of you and your affiliates are taken to be those of that month"
        )
    return Figure(None, None, today=_users_today(use))


def _product_users(use: UseProfile) -> Figure:
    for value in (use.mau_product, use.monthly_active_users):
        if value is not None:
            return _known(value)
    if use.mau_licensee is not None:
        return _known(use.mau_licensee, "the licensee's users stand in for the product's")
    if use.mau_group_now is not None:
        return _known(use.mau_group_now, "the group's users stand in for the product's")
    return Figure(use.mau_feature, None)


def _daily_users(use: UseProfile) -> Figure:
    if use.dau is not None:
        return _known(use.dau)
    monthly = _users_today(use)
    return Figure(None, monthly, None if monthly is None else "monthly users bound daily users")


def _money(metric: Metric, use: UseProfile) -> Figure:
    year, group, other = use.annual_revenue_usd, use.group_revenue_usd, use.affiliate_revenue_usd
    month, recurring = use.monthly_revenue_usd, use.annual_recurring_revenue_usd
    if metric == "employer_monthly_revenue":
        return _known(use.employer_monthly_revenue_usd)
    if metric == "monthly_revenue":
        if month is not None:
            return _known(month)
        total = group if group is not None else year
        return _known(None if total is None else total // 12, "a twelfth of the year's revenue stands in")
    if metric == "annual_recurring_revenue":
        if recurring is not None:
            return _known(recurring)
        if year is not None:
            return _known(year, "annual revenue stands in for recurring revenue")
        return _known(None if month is None else month * 12, "twelve times the month's revenue stands in")
    if metric == "group_revenue":
        if group is not None:
            return _known(group)
        if year is not None:
            return _known(year + (other or 0), None if other is not None else "no affiliates are counted")
        if other is not None and other > 0:
            return Figure(other, None)
    elif year is not None:
        return _known(year)
    elif group is not None:
        return Figure(None, group)
    if recurring is not None:
        return Figure(recurring, None, "recurring revenue is a lower bound")
    return _known(None if month is None else month * 12, "twelve times the month's revenue stands in")
