"""`[use]`: who uses the model and for what."""

from __future__ import annotations

from typing import Literal

from freehold.types.record import Record

Mode = Literal[
    "internal",
    "personal",
    "research",
    "hosted_service",
    "embedded_product",
    "distribute_weights",
    "train_other_model",
    "outputs_in_product",
    "relay",
    "end_user_of_product",
    "receive_integrated_end_user_product",
]


class UseProfile(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who uses the model and for what: the `[use]` table. None means unknown, which is a value of its own.

    Users are monthly active users, money is US dollars. Fields that end in `_month_before_release` are figures of the
    calendar month before the release of the model version in question: some licences freeze their threshold at that
    date. `mode` None is derived from `distributes_weights` and `serves_third_parties`; next to a mode they widen it.
    `then` says what becomes of a trained model. `regions` is where the service or the weights are offered, `seat` where
    the licensee is established (ISO country code, or EU), `parent_seat` where its parent is.
    """

    mode: Mode | None = None
    then: Mode | None = None
    commercial: bool | None = None
    nonprofit: bool | None = None
    purpose: str | None = None
    announcement: bool | None = None
    seat: str | None = None
    parent_seat: str | None = None
    regions: tuple[str, ...] = ()
    user_location: str | None = None
    monthly_active_users: int | None = None
    mau_product: int | None = None
    mau_licensee: int | None = None
    mau_affiliate: int | None = None
    mau_group_now: int | None = None
    mau_group_month_before_release: int | None = None
    mau_licensee_month_before_release: int | None = None
    mau_feature: int | None = None
    dau: int | None = None
    annual_revenue_usd: int | None = None
    group_revenue_usd: int | None = None
    affiliate_revenue_usd: int | None = None
    monthly_revenue_usd: int | None = None
    annual_recurring_revenue_usd: int | None = None
    employer_monthly_revenue_usd: int | None = None
    product_type: str | None = None
    business: str | None = None
    affiliate_runs_maas: bool | None = None
    competes_with_licensor: bool | None = None
    domain: str | None = None
    human_review: bool | None = None
    modification: str | None = None
    derivative_name: str | None = None
    claimed_license: str | None = None
    notices_kept: bool | None = None
    registered: bool | None = None
    litigation: str | None = None
    release: str | None = None
    obtained: str | None = None
    weights: str | None = None
    accounts: tuple[str, ...] | None = None
    distributes_weights: bool = False
    serves_third_parties: bool = False
    trains_models_on_outputs: bool = False
