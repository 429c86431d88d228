"""`freehold watch`: is the promoted model still as good as it was? A small check, again and again.

A check takes requests of the last period at random, asks the incumbent (or takes what it froze), scores both, and puts
the period into a detector; the price is worked out and capped before any request is sent. Without any
request it also sees whether what comes in or goes out has changed. Alarms go to hooks; where the owner wants it,
traffic goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, NamedTuple

import anyio
import msgspec

from freehold.errors import FreeholdError, UsageError
from freehold.progress import Progress, Silent
from freehold.stats.drift import THRESHOLD, MeanDetector, no_worse, smallest_drop_found
from freehold.store import Store
from freehold.types.config import WatchConfig
from freehold.types.mixture import Mixture
from freehold.types.record import StoredRecord, event_id
from freehold.types.rollout import FEWEST_PAIRS, Check
from freehold.types.route import Route, RouteChange
from freehold.types.trace import Trace
from freehold.workflows.project import Project
from freehold.workflows.prove.mixed import agreement_shift
from freehold.workflows.prove.task import task_of
from freehold.workflows.shift import alarms, routes, swapping
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.watch import mixture
from freehold.workflows.watch.asking import CheckPlan, ask, plan_check
from freehold.workflows.watch.drift import Baseline, baseline, drifts
from freehold.workflows.watch.mixture import MixtureState

MOST_TRACES = 20_000
REQUESTS = 50
"""Requests asked again each time: of the incumbent, or of its frozen answers where it cannot be asked."""


class WatchState(StoredRecord, frozen=True, kw_only=True):
    """What the checks of a route have learned. An action starts it over."""

    kind: ClassVar[str] = "watch_state"
    unaudited: ClassVar[str | None] = "the check that it was learned from has its entry"
    key_field: ClassVar[str] = "route"

    route: str
    promoted_revision: int
    last_at: datetime | None = None
    quality: MeanDetector = MeanDetector()
    mixture: MixtureState = MixtureState()
    drift: dict[str, MeanDetector] = {}
    baseline: Baseline | None = None


def check(
    project: Project,
    store: Store,
    route_name: str,
    *,
    at: datetime,
    config: WatchConfig | None = None,
    planned: Callable[[CheckPlan], None] = lambda _: None,
    progress: Progress | None = None,
) -> Check:
    """Check a promoted route once, keep what was found, tell the hooks, and act as the owner wants.

    `planned` is called with the plan and its price before any request is sent. Raises `UsageError` for a route that is
    not promoted or cannot be compared with anything, and what asking raises.
    """
    config = config or project.config.watch
    route = routes.find(store, route_name)
    if route.state != "promoted" or route.candidate is None:
        raise UsageError(
            f"the route {route_name} is {route.state}: only a promoted one is watched",
            hint="freehold rollout status shows how far it is",
        )
    state = _state(store, route)
    since = state.last_at or at - timedelta(hours=config.every_hours)
    if (began := swapping.began_at(store, route_name)) is not None:
        since = max(since, began)  # what the generation before answered says nothing of this one
    recent = list(_recent(store, route, since, at))
    judged = _judged(_Terms(project, store, route, config, at), state, recent, planned, progress or Silent())
    then = state.baseline or _baseline(store, route)
    drift, detectors = drifts(recent, then, state.drift) if then is not None else ((), state.drift)
    notes = list(judged.plan.notes)
    if then is None:
        notes.append("drift: too few traces from before the promotion to compare with")
    made = msgspec.structs.replace(judged.check, drift=drift)
    action, troubles = _act(project, store, route, made, config, at)
    made = msgspec.structs.replace(made, action=action, notes=(*notes, *troubles))
    after = WatchState(
        route=route_name,
        promoted_revision=state.promoted_revision,
        last_at=at,
        quality=judged.quality,
        drift={
            name: MeanDetector() if one.statistic >= THRESHOLD else one for name, one in detectors.items()
        },
        mixture=judged.mixture,
        baseline=then,
    )
    store.put(after)
    store.put(made)
    return made


class _Terms(NamedTuple):
    """What is checked, how, and when."""

    project: Project
    store: Store
    route: Route
    config: WatchConfig
    at: datetime


class _Judged(NamedTuple):
    """A check so far: what was asked and found of quality; and what was learned, for the next one."""

    plan: CheckPlan
    check: Check
    quality: MeanDetector
    mixture: MixtureState


def _judged(
    terms: _Terms,
    state: WatchState,
    recent: list[Trace],
    planned: Callable[[CheckPlan], None],
    progress: Progress,
) -> _Judged:
    """Plan, ask, score, and put the period into the tests."""
    project, store, route, config, at = terms
    task, rule = task_of(project), route.deferral
    if rule is None:
        seed = f"{route.name}:{state.quality.periods}"
        plan = plan_check(project, store, recent, REQUESTS, budget_usd=config.budget_usd, seed=seed)
    else:
        traffic = mixture.traffic_of(rule, recent)
        periods = max((one.periods for one in state.mixture.detectors.values()), default=0)
        seed = f"{route.name}:{rule.id}:{periods}"
        plan = mixture.plan_recheck(project, store, route, traffic, config, at=at, seed=seed)
    planned(plan)
    began = _promoted(store, route)
    verdict_id = None if began is None else began.verdict_id
    agreement = agreement_shift(store, task, rule, verdict_id, only_sure=True)
    if agreement.difference:
        plan = plan._replace(notes=(*plan.notes, agreement.sentence))
    scores = anyio.run(partial(ask, project, route, plan, task, agreement=agreement, progress=progress))
    pairs, limit = scores.differences, no_worse(min(1.0, task.margin + agreement.error))
    made = Check(
        id=event_id(int(at.timestamp() * 1000)),
        route=route.name,
        at=at,
        against=plan.against,
        period=state.quality.periods,
        planned=len(plan.samples),
        estimated_usd=plan.estimated_usd,
        budget_usd=config.budget_usd,
        spent_usd=scores.spent_usd,
        pairs=len(pairs),
        unscored=scores.unscored,
        difference=sum(pairs) / len(pairs) if pairs else None,
        e_value=MeanDetector().update(pairs, limit).statistic if pairs else 1.0,
        statistic=0.0,
        alarm=False,
        smallest_drop=None,
    )
    if rule is None:
        quality = state.quality.update(pairs, limit) if len(pairs) >= FEWEST_PAIRS else state.quality
        alarm = quality.statistic >= THRESHOLD
        made = msgspec.structs.replace(
            made,
            period=quality.periods,
            statistic=quality.statistic,
            alarm=alarm,
            smallest_drop=smallest_drop_found(max(1, len(pairs)), margin=task.margin),
        )
        return _Judged(plan, made, MeanDetector() if alarm else quality, MixtureState())
    proven = None if rule.mixture_id is None else store.get(Mixture, rule.mixture_id)
    found, after = mixture.judge(
        rule,
        proven,
        traffic,
        plan,
        scores,
        state.mixture,
        margin=task.margin,
        every_hours=config.every_hours,
    )
    if proven is None:
        plan = plan._replace(
            notes=(*plan.notes, "the record of the fallback's proof is gone: its share is not watched")
        )
    return _Judged(plan, mixture.with_mixture(made, found), state.quality, after)


def next_due(store: Store, route_name: str, config: WatchConfig, *, at: datetime) -> datetime:
    """When the next check is due; at once where there was none."""
    state = store.get(WatchState, route_name)
    if state is None or state.last_at is None:
        return at
    return state.last_at + timedelta(hours=config.every_hours)


def history(store: Store, route_name: str) -> list[Check]:
    """All checks of a route, oldest first."""
    return [one for one in store.records(Check) if one.route == route_name]


def failed(project: Project, route_name: str, error: FreeholdError, *, at: datetime) -> tuple[str, ...]:
    """Tell the hooks that a check could not be made: silence must not look like health."""
    alarm = alarms.Alarm(
        kind="check_failed", app=project.config.app.name, route=route_name, at=at, why=error.message
    )
    return alarms.send_alarm(alarm, project.config.watch)


def _state(store: Store, route: Route) -> WatchState:
    began = _promoted(store, route)
    first = 0 if began is None else began.revision
    known = store.get(WatchState, route.name)
    if known is not None and known.promoted_revision == first:
        return known
    return WatchState(route=route.name, promoted_revision=first)


def _promoted(store: Store, route: Route) -> RouteChange | None:
    """The change by which the route became promoted with its candidate, as it still is."""
    first = None
    for change in reversed(store.route_history(route.name)):
        if change.route is None or change.route.state != "promoted":
            break
        if first is not None and change.route.candidate != route.candidate:
            break
        first = change
    return first


def _recent(store: Store, route: Route, since: datetime, until: datetime) -> list[Trace]:
    """The candidate's traffic of a period, at most `MOST_TRACES` of the latest."""
    found = store.latest_traces(
        MOST_TRACES, route=route.name, since=since, until=until, complete_only=False, own_only=True
    )
    return [trace for trace in reversed(found) if trace.arm == "candidate"]


def _baseline(store: Store, route: Route) -> Baseline | None:
    began = _promoted(store, route)
    if began is None:
        return None
    before = store.latest_traces(MOST_TRACES, route=route.name, until=began.at, complete_only=False)
    return baseline(
        [trace for trace in before if trace.parent_id is None],
        [trace for trace in before if trace.arm == "candidate"],
    )


def _act(
    project: Project, store: Store, route: Route, made: Check, config: WatchConfig, at: datetime
) -> tuple[str, tuple[str, ...]]:
    """Move traffic where the owner wants it, and tell the hooks. Drift alone moves nothing."""
    troubles: list[str] = []
    action = "none"
    found = made.mixture
    if made.alarm:
        why = (
            f"watch: quality {made.difference:+.3f}, statistic {made.statistic:.3g} reached {made.acts_at:.0f}"
            if found is None
            else mixture.why_alarmed(found)
        )
        action, trouble = _move(store, route, config, at=at, why=why)
        why += swapping.BACK * (action == "generation_back")
        troubles += trouble
        told = alarms.Alarm(
            kind="quality", app=project.config.app.name, route=route.name, at=at, why=why, action=action
        )
        troubles += alarms.send_alarm(told, config)
    changed = [f"{one.name} {one.baseline:.1%} → {one.share:.1%}" for one in made.drift if one.alarm]
    if found is not None and not made.alarm and any(test.alarm for test in found.tests):
        changed.append(mixture.why_alarmed(found))
    if changed:
        told = alarms.Alarm(
            kind="drift", app=project.config.app.name, route=route.name, at=at, why=", ".join(changed)
        )
        troubles += alarms.send_alarm(told, config)
    return action, tuple(troubles)


def _move(
    store: Store, route: Route, config: WatchConfig, *, at: datetime, why: str
) -> tuple[str, tuple[str, ...]]:
    """Move traffic as `[watch] on_alarm` says, to the generation before where there is one to go back to; what was
    done, and what was in the way."""
    if config.on_alarm != "report" and swapping.back(store, route.name, who="freehold", at=at, why=why):
        return "generation_back", ()
    if config.on_alarm == "rollback":
        rollout.rollback_route(store, route.name, who="freehold", at=at, why=why)
        return "rolled_back", ()
    if config.on_alarm == "shadow":
        moved = msgspec.structs.replace(route, state="shadow", shadow_share=route.shadow_share or 0.2)
        store.save_route(moved, who="freehold", at=at, why=why, expected_revision=route.revision)
        return "shadow", ()
    if config.on_alarm == "auto" and route.deferral is not None:
        try:
            mixture.to_safe_side(store, route, at=at, why=why)
        except FreeholdError as error:  # the alarm must be told in any case
            return "none", (f"the rule was not moved to the safe side: {error.message}",)
        return "safe_side", ()
    return "none", ()
