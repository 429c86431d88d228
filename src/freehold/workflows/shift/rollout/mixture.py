"""The rule of deferral that a rollout moves to: that of the mixture which the last verdict promotes, if it is one."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from freehold.errors import UsageError
from freehold.gateway.config import other_upper
from freehold.store import Store
from freehold.types.config import EndpointConfig
from freehold.types.dataset import Dataset
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ServePlan
from freehold.types.mixture import Mixture
from freehold.types.route import Route
from freehold.types.serving.rollout import Check
from freehold.types.verdict import Verdict

_AGAIN = "freehold migrate, or freehold defer plan, proves one for what is served now"


def with_mixture(store: Store, route: Route, *, verdict: Verdict | None) -> Route:
    """The route with the rule that was proven, without one where the verdict is on the candidate alone.

    Raises `UsageError` for a stale mixture (proven for another candidate than the one served, or on another dataset
    than the present one), and for one from which a check took the traffic.
    """
    if verdict is None or verdict.mixture_id is None:
        return msgspec.structs.replace(route, deferral=None)
    mixture = store.get(Mixture, verdict.mixture_id)
    if mixture is None or mixture.rule is None or not mixture.is_proven:
        raise UsageError(
            f"the verdict {verdict.id[:12]} is on the mixture {verdict.mixture_id[:12]}, which is not in the store",
            hint=_AGAIN,
        )
    _refuse_other_candidate(store, route, mixture.rule)
    refuse_alarmed(store, mixture)
    dataset = store.latest(Dataset)
    if dataset is not None and dataset.id != mixture.dataset_id:
        raise UsageError(
            f"the mixture {mixture.id[:12]} was proven on the dataset {mixture.dataset_id[:12]}, and the present "
            f"one is {dataset.id[:12]}",
            hint=_AGAIN,
        )
    return msgspec.structs.replace(route, deferral=mixture.rule)


def check_upper(route: Route, endpoints: Iterable[EndpointConfig]) -> None:
    """Raise `UsageError` where the upper model of the route's rule is not where it was asked for the proof."""
    rule = route.deferral
    if rule is None or rule.upper is None:
        return
    addresses = {one.name: one.base_url for one in endpoints}
    if (other := other_upper(rule, addresses.get(rule.upper.endpoint))) is not None:
        raise UsageError(
            other, hint=f"give [[endpoints]] {rule.upper.endpoint} that base_url again; or {_AGAIN}"
        )


def refuse_alarmed(store: Store, mixture: Mixture) -> None:
    """Raise `UsageError` for a mixture that broke its promise: only a new verdict brings one back."""
    for one in store.records(Check):
        if (
            one.alarm
            and one.action != "none"
            and one.mixture is not None
            and one.mixture.mixture_id == mixture.id
        ):
            raise UsageError(
                f"the mixture {mixture.id[:12]} did not keep its promise: freehold watch took the traffic from it on "
                f"{one.at:%Y-%m-%d}",
                hint="prove a new one on newer traffic: freehold dataset build, freehold migrate",
            )


def _refuse_other_candidate(store: Store, route: Route, rule: DeferralRule) -> None:
    named = None if route.candidate is None else route.candidate.model
    if named is not None and named != rule.candidate:
        raise UsageError(
            f"the mixture was proven for {rule.candidate}, and the route's candidate is {named}",
            hint=f"--candidate {rule.candidate}, or freehold defer plan for {named}",
        )
    plans = [plan for plan in store.records(ServePlan) if rule.candidate in _names(plan)]
    if plans and plans[-1].candidate_id(rule.candidate) != rule.candidate_id:
        raise UsageError(
            f"the mixture was proven for {rule.candidate} with the identity {rule.candidate_id[:12]}, and what is "
            f"served under that name now is {plans[-1].candidate_id(rule.candidate)[:12]}",
            hint=_AGAIN,
        )


def _names(plan: ServePlan) -> tuple[str, ...]:
    return (plan.model, *(mount.name for mount in plan.adapters))
