"""What has to hold before traffic moves a step further, and what of it does not hold yet. It only looks."""

from __future__ import annotations

from datetime import datetime

import msgspec

from freehold.store import Store
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ENDPOINT_NAME, ServePlan
from freehold.types.method import METHOD_KINDS
from freehold.types.record import content_id
from freehold.types.rollout import Gate, Rollout
from freehold.types.route import Route, Target
from freehold.types.verdict import MAX_AGE_DAYS, Verdict
from freehold.workflows.prove.evidence_basis import AS_ASKED, ages_of
from freehold.workflows.shift.rollout.ledger import Look


def gates_left(store: Store, rollout: Rollout, seen: Look, at: datetime) -> list[tuple[Gate, str]]:
    """The gates that stand in the way of the next step, each with its reason."""
    if rollout.state in ("promoted", "rolled_back"):
        return []
    route = next((one for one in store.routes() if one.name == rollout.route), None)
    verdict = verdict_of(store, rollout)
    missing = _stale_evidence(store, rollout, route, verdict, at)
    if (proof := _missing_proof(route, verdict)) is not None:
        missing.append(proof)
    units = seen.pairs if rollout.stage < 0 else seen.candidate_units
    if units < rollout.users_a_stage:
        missing.append(("users", f"{units} of {rollout.users_a_stage} independent users seen"))
    hours = (at - rollout.stage_began_at).total_seconds() / 3600
    if hours < rollout.hours_a_stage:
        cycle = " (one daily cycle)" if rollout.hours_a_stage == 24 else ""
        missing.append(("hours", f"{hours:.1f} of {rollout.hours_a_stage:g} hours{cycle} passed"))
    if not seen.harm_bounded:
        bound = -3 * rollout.task.margin
        missing.append(("harm", f"quality: a difference of {bound:+.3f} (three margins) is not ruled out"))
    if rollout.stage + 1 == len(rollout.stages):
        below = f"below {100 * rollout.errors_below:.4g} %"
        again = f" (try {rollout.attempt} of this candidate; all share one error)"
        for state in seen.metrics:
            if state.promote is False and state.metric != "latency":
                of = "within its margin" if state.metric == "quality" else below
                text = f"{state.metric}: not yet shown to be {of}" + again * (rollout.attempt > 1)
                missing.append((state.metric, text))
    return missing


def verdict_of(store: Store, rollout: Rollout) -> Verdict | None:
    """The offline verdict that a rollout rests on: its own where that promotes, else the newest."""
    own = store.get(Verdict, rollout.verdict_id) if rollout.verdict_id else None
    return own if own is not None and own.outcome == "promote" else store.latest(Verdict)


def _stale_evidence(
    store: Store, rollout: Rollout, route: Route | None, verdict: Verdict | None, at: datetime
) -> list[tuple[Gate, str]]:
    """Why the offline evidence no longer holds, with the command that renews it."""
    if verdict is None:
        return []
    ages = ages_of(
        store,
        verdict,
        task=rollout.task,
        candidate=None if route is None or route.candidate is None else route.candidate.model,
        at=at,
        max_age_days=MAX_AGE_DAYS,
    )
    return [
        (
            "evidence",
            f"the evidence of {one.gate} no longer holds: {'; '.join(one.stale)} ({one.renew} renews it)",
        )
        for one in ages
        if one.stale
    ]


def _missing_proof(route: Route | None, verdict: Verdict | None) -> tuple[Gate, str] | None:
    """What is not proven offline of what the route asks: without it clients get no answer of the candidate's."""
    if verdict is None or verdict.outcome != "promote":
        return "verdict", "no offline verdict says promote (freehold migrate makes one)"
    if (target := candidate_of(route)) is not None and target.model != verdict.candidate:
        return "verdict", (
            f"the verdict is on {verdict.candidate}, and the route's candidate is {target.model}: freehold rollout "
            f"start --candidate {verdict.candidate} moves to the one, freehold migrate proves the other"
        )
    if target is not None and target.endpoint != ENDPOINT_NAME and _is_prepared(verdict):
        return "verdict", (
            f"{verdict.candidate} was proven with a prompt or examples that freehold puts before each request, and "
            f"the route asks {target.endpoint} without: --candidate {verdict.candidate} of freehold rollout start"
        )
    rule = None if route is None else route.deferral
    if verdict.mixture_id is not None and (rule is None or rule.mixture_id != verdict.mixture_id):
        return (
            "verdict",
            "the verdict is on a mixture, and the route has another rule or none: freehold rollout start",
        )
    if (code := required_parity(verdict)) is not None and code not in {one.code for one in verdict.reasons}:
        return "parity", "the served model was not compared with the trained one: freehold migrate does it"
    return None


def candidate_of(route: Route | None) -> Target | None:
    """Where and under which name a route asks its candidate; None where there is none."""
    if route is None or route.candidate is None:
        return None
    return msgspec.structs.replace(route.candidate, model=route.candidate.model or route.model)


def served_id(store: Store, model: str) -> str | None:
    """What `freehold up` serves under a name, by its content; None where no plan has that name."""
    for plan in reversed(store.records(ServePlan)):
        if model in (plan.model, *(mount.name for mount in plan.adapters)):
            return plan.candidate_id(model)
    return None


def candidate_key(store: Store, route: Route) -> str:
    """What a route's candidate is, by its content. What is served here is another one as soon as its weights, its
    adapter, its prompt or its engine's options are. Another share of requests makes it no other: all of them are at
    hand to be tried one after the other."""
    target = candidate_of(route)
    if target is None or target.model is None:
        return ""
    content = served_id(store, target.model) if target.endpoint == ENDPOINT_NAME else None
    return content_id([target.endpoint, target.model, content])


def _is_prepared(verdict: Verdict) -> bool:
    """Whether what was proven is more than the model: what is served here does it to requests, an address does not."""
    return verdict.evidence is not None and verdict.evidence.parts.get("prompt", AS_ASKED) != AS_ASKED


def rule_of(store: Store, route_name: str) -> DeferralRule | None:
    return next((one.deferral for one in store.routes() if one.name == route_name), None)


def required_parity(verdict: Verdict) -> str | None:
    """The reason that shows, for a candidate made as the verdict's was, that what is served is what was made."""
    if verdict.method is not None:
        return METHOD_KINDS[verdict.method].parity
    # From an evaluation outside a migration: what is served on one's own machine may have been trained.
    return "parity_ok" if any(reason.code == "fits" for reason in verdict.reasons) else None
