import pytest

from freehold.licensing.figures import read
from freehold.types.license import Limit
from freehold.types.use import UseProfile

LICENSEE = Limit(metric="mau_licensee", above=100, frozen_at="2025-06-27")
FROZEN = Limit(metric="mau_group", above=700, frozen_at="2024-07-23")


@pytest.mark.parametrize(
    ("limit", "use", "side"),
    [
        (FROZEN, UseProfile(mau_group_month_before_release=700), "below"),
        (FROZEN, UseProfile(mau_group_month_before_release=701), "above"),
        # Grown later, or shrunk: only the month before the release counts.
        (FROZEN, UseProfile(mau_group_month_before_release=1, mau_group_now=900), "below"),
        (FROZEN, UseProfile(mau_group_month_before_release=900, mau_group_now=1), "above"),
        (FROZEN, UseProfile(mau_licensee=50, mau_affiliate=750), "above"),
        (FROZEN, UseProfile(mau_group_now=900), "unclear"),
        (FROZEN, UseProfile(mau_licensee_month_before_release=701), "above"),
        (FROZEN, UseProfile(mau_licensee_month_before_release=1), "unknown"),
        (Limit(metric="mau_group", above=700), UseProfile(mau_licensee=1, mau_group_now=701), "above"),
        (FROZEN, UseProfile(), "unknown"),
        (Limit(metric="mau_product", above=100), UseProfile(mau_product=50, mau_affiliate=900), "below"),
        (Limit(metric="mau_product", above=100), UseProfile(monthly_active_users=101), "above"),
        (Limit(metric="mau_product", above=100), UseProfile(mau_feature=101), "above"),
        (Limit(metric="mau_product", above=100), UseProfile(mau_group_month_before_release=900), "unknown"),
        (LICENSEE, UseProfile(mau_group_month_before_release=101), "above"),
        (LICENSEE, UseProfile(mau_group_month_before_release=101, mau_licensee_month_before_release=99), "below"),
        (Limit(metric="group_revenue", above=10, at="unclear"), UseProfile(annual_revenue_usd=10), "unclear"),
        (Limit(metric="group_revenue", above=10), UseProfile(annual_revenue_usd=6, affiliate_revenue_usd=5), "above"),
        (Limit(metric="group_revenue", above=10), UseProfile(annual_revenue_usd=6, group_revenue_usd=50), "above"),
        (Limit(metric="annual_revenue", above=10), UseProfile(annual_revenue_usd=6, group_revenue_usd=50), "below"),
        (Limit(metric="monthly_revenue", above=20), UseProfile(annual_revenue_usd=252), "above"),
        (Limit(metric="monthly_revenue", above=20), UseProfile(monthly_revenue_usd=20), "below"),
        (Limit(metric="employer_monthly_revenue", above=20), UseProfile(monthly_revenue_usd=90), "unknown"),
        (Limit(metric="annual_recurring_revenue", above=30), UseProfile(annual_recurring_revenue_usd=31), "above"),
        (Limit(metric="dau", above=100, at="outside"), UseProfile(dau=100), "above"),
        (Limit(metric="dau", above=100, at="outside"), UseProfile(monthly_active_users=50), "below"),
    ],
)  # fmt: skip
def test_which_side_of_the_line(limit, use, side):
    assert read(limit, use).side == side
