"""A promoted mixture: some of the candidate's sure answers are asked again of the incumbent, in a share and a budget.

Three claims rest on its verdict, and each is watched by a test that holds however often one looks: what all requests
lose is within the margin, confidence means what it did, and the share answered here is the one that was proven. Where
the first two or a larger share break, the rule goes to its safe side. A smaller share costs money and no quality: it is
told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from freehold.errors import UsageError
from freehold.stats.drift import (
    ALPHA_SPLIT,
    THRESHOLD,
    MeanDetector,
    acts_at,
    loss_limit,
    overconfidence_limit,
    share_limits,
    smallest_drop_found,
)
from freehold.stats.sequential import MeanLimit, one_value_per_unit
from freehold.store import Store
from freehold.types.config import WatchConfig
from freehold.types.deferral import DeferralRule
from freehold.types.mixture import Mixture
from freehold.types.record import Record
from freehold.types.rollout import FEWEST_PAIRS, Check, MixtureCheck, MixtureTest
from freehold.types.route import Route
from freehold.types.trace import Trace
from freehold.workflows.project import Project
from freehold.workflows.shift.rollout.decision import unit_of
from freehold.workflows.watch.asking import CheckPlan, PeriodScores, plan_check
from freehold.workflows.watch.drift import TOLERANCE

MOVES: tuple[str, ...] = ("loss", "calibration", "share above")
"""The tests whose alarm moves traffic."""


class MixtureState(Record, frozen=True, kw_only=True):
    """What the checks of one rule have learned. Another rule starts over."""

    rule_id: str = ""
    detectors: dict[str, MeanDetector] = {}


class MixtureTraffic(NamedTuple):
    """A period's requests that the rule decided on, and those whose answer can differ from the incumbent's: the
    candidate's sure ones, and all that an upper model gave in the incumbent's place."""

    decided: list[Trace]
    sure: list[Trace]

    def shares(self) -> list[float]:
        """For each user the share of requests answered here, in the order of first appearance."""
        here = [float(one.deferral is not None and one.deferral.by == "candidate") for one in self.decided]
        return [value for _, value in one_value_per_unit(list(map(unit_of, self.decided)), here)]

    def sure_share(self) -> float:
        """The mean over users of the share whose answers can differ from the incumbent's."""
        sure = {one.id for one in self.sure}
        asked = [float(one.id in sure) for one in self.decided]
        found = one_value_per_unit(list(map(unit_of, self.decided)), asked)
        return sum(value for _, value in found) / max(1, len(found))


def traffic_of(rule: DeferralRule, recent: Sequence[Trace]) -> MixtureTraffic:
    """What a rule decided in a period."""
    decided, sure = [], []
    for one in recent:
        made = one.deferral
        if one.parent_id is None and made is not None and made.rule_id == rule.id:
            decided.append(one)
            if made.by == "upper" or (made.by == "candidate" and made.why == "sure"):
                sure.append(one)
    return MixtureTraffic(decided, sure)


def plan_recheck(
    project: Project,
    store: Store,
    route: Route,
    traffic: MixtureTraffic,
    config: WatchConfig,
    *,
    at: datetime,
    seed: str,
) -> CheckPlan:
    """Choose sure answers to ask again: ``[defer] recheck_share`` of them, within what is left of the month's budget.

    Stated dollars (of this one check) count on top. Raises `UsageError` where no
    price is known. Where the incumbent cannot be asked, nothing is planned, and that is noted.
    """
    incumbent, defer = project.config.incumbent, project.config.defer
    if incumbent is None or incumbent.base_url is None:
        return _nothing(
            "the incumbent cannot be asked ([incumbent] base_url), so sure answers are not checked again"
        )
    if not traffic.sure:
        return _nothing("no answer in this period was sure")
    if not defer.recheck_share:
        return _nothing("[defer] recheck_share is 0: sure answers are not checked again")
    users = len({unit_of(trace) for trace in traffic.sure})
    requests = max(FEWEST_PAIRS, math.ceil(defer.recheck_share * len(traffic.sure)))
    left = max(Decimal(0), defer.recheck_usd_per_month - spent_in_month(store, route.name, at=at))
    if config.budget_usd != project.config.watch.budget_usd:
        left = min(left, config.budget_usd)
    return plan_check(project, store, traffic.sure, min(requests, users), budget_usd=left, seed=seed)


def _nothing(why: str) -> CheckPlan:
    return CheckPlan("live", [], [], Decimal(0), (why,))


def spent_in_month(store: Store, route_name: str, *, at: datetime) -> Decimal:
    """Dollars that checks of a route have spent in this calendar month (UTC)."""
    spent = [
        one.spent_usd
        for one in store.records(Check)
        if one.route == route_name
        and one.spent_usd is not None
        and one.at.strftime("%Y%m") == at.strftime("%Y%m")
    ]
    return sum(spent, Decimal(0))


def judge(
    rule: DeferralRule,
    proven: Mixture | None,
    traffic: MixtureTraffic,
    plan: CheckPlan,
    scores: PeriodScores,
    state: MixtureState,
    *,
    margin: float,
    every_hours: float,
) -> tuple[MixtureCheck, MixtureState]:
    """Put a period's answers into the tests: what was found, and the state after it. `margin` counts where the
    mixture's record is gone."""
    detectors = dict(state.detectors) if state.rule_id == rule.id else {}
    margin = margin if proven is None else proven.margin
    shares, sure_share, pairs = traffic.shares(), traffic.sure_share(), scores.differences
    asked = [
        (min(1.0, max(0.0, sure)), float(as_good))
        for place, as_good in zip(scores.scored, scores.as_good, strict=True)
        if (sure := plan.confidences[place]) is not None
    ]
    values: dict[str, tuple[list[float], MeanLimit]] = {}
    if len(pairs) >= FEWEST_PAIRS and sure_share:
        values["loss"] = ([-one for one in pairs], loss_limit(margin, sure_share, scores.agreement.error))
    if len(asked) >= FEWEST_PAIRS:
        values["calibration"] = (
            [sure - good for sure, good in asked],
            overconfidence_limit(scores.agreement.as_good + scores.agreement.as_good_error),
        )
    low, high = (None, None) if proven is None else (proven.share_low, proven.share_high)
    if low is not None and high is not None and not rule.is_on_safe_side:
        limits = share_limits(low, high, TOLERANCE)
        values |= {
            name: (shares, limit) for name, limit in zip(("share above", "share below"), limits, strict=True)
        }
    tests: list[dict[str, object]] = []
    for name, (seen, limit) in values.items():
        detector = detectors.get(name, MeanDetector()).update(seen, limit)
        threshold = acts_at(name, every_hours=every_hours) if name in ALPHA_SPLIT else THRESHOLD
        found = {"name": name, "statistic": detector.statistic, "acts_at": threshold}
        tests.append({**found, "alarm": detector.statistic >= threshold})
        # What has alarmed starts over; the others go on.
        detectors[name] = MeanDetector() if detector.statistic >= threshold else detector
    made = MixtureCheck(
        rule_id=rule.id,
        mixture_id=rule.mixture_id,
        decided=len(traffic.decided),
        sure=len(traffic.sure),
        share=_mean(shares),
        share_low=low,
        share_high=high,
        sure_share=sure_share,
        loss=0.0 - sure_share * sum(pairs) / len(pairs) if pairs else None,
        margin=margin,
        confidence=_mean([sure for sure, _ in asked]),
        as_good=_mean([good for _, good in asked]),
        tests=msgspec.convert(tests, tuple[MixtureTest, ...]),
        safe_side=rule.is_on_safe_side,
    )
    return made, MixtureState(rule_id=rule.id, detectors=detectors)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def with_mixture(made: Check, found: MixtureCheck) -> Check:
    """A check with what was found of the mixture, in its own numbers: those of the test of its loss."""
    loss = next((test for test in found.tests if test.name == "loss"), None)
    alarm = any(test.alarm for test in found.tests if test.name in MOVES)
    if loss is None:
        return msgspec.structs.replace(made, mixture=found, alarm=alarm)
    limit = loss_limit(found.margin, found.sure_share).at
    drop = None
    if limit < 1:
        drop = smallest_drop_found(made.pairs, margin=limit, threshold=loss.acts_at)
    return msgspec.structs.replace(
        made,
        mixture=found,
        alarm=alarm,
        statistic=loss.statistic,
        acts_at=loss.acts_at,
        smallest_drop=None if drop is None else found.sure_share * drop,
    )


def why_alarmed(found: MixtureCheck) -> str:
    """What broke, in a line."""
    words = {
        "loss": f"all requests lose more than the margin of {found.margin:.3f}",
        "calibration": "sure answers are as good as the incumbent's less often than they say",
        "share above": "more is answered here than was proven",
        "share below": "less is answered here than was proven",
    }
    if found.loss is not None:
        words["loss"] += f" ({found.loss:.3f} in this period)"
    if found.as_good is not None:
        words["calibration"] += f" ({found.as_good:.1%} instead of {found.confidence:.1%})"
    for name in ("share above", "share below"):
        if found.share is not None and found.share_low is not None:
            words[name] += f" ({found.share:.1%} instead of {found.share_low:.1%} to {found.share_high:.1%})"
    return "watch: " + "; ".join(words[test.name] for test in found.tests if test.alarm)


def to_safe_side(store: Store, route: Route, *, at: datetime, why: str) -> None:
    """Let the incumbent answer everything, at once in every worker: the rule is replaced by its safe side.

    Raises `UsageError` where the route was changed meanwhile and has no such rule any more.
    """
    current = next((one for one in store.routes() if one.name == route.name), None)
    rule = None if current is None else current.deferral
    if current is None or rule is None or route.deferral is None or rule.id != route.deferral.id:
        raise UsageError(f"the route {route.name} was given another rule while it was checked")
    moved = msgspec.structs.replace(current, deferral=rule.on_safe_side())
    store.save_route(moved, who="freehold", at=at, why=why, expected_revision=current.revision)
