"""What has to hold before traffic moves a step further, and what of it does not hold yet. It only looks."""

from __future__ import annotations

from datetime import datetime

import msgspec

from freehold.store import Store
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ENDPOINT_NAME
from freehold.types.evidence import MAX_AGE_DAYS
from freehold.types.method import METHOD_KINDS
from freehold.types.route import Target
from freehold.types.serving.rollout import Gate, Rollout
from freehold.types.verdict import Verdict
from freehold.workflows.prove.evidence_basis import AS_ASKED, ages_of
from freehold.workflows.shift.rollout.ledger import Look


def gates_left(store: Store, rollout: Rollout, seen: Look, at: datetime) -> list[tuple[Gate, str]]:
    """The gates that stand in the way of the next step, each with its reason."""
    if rollout.state in ("promoted", "rolled_back"):
        return []
    missing = _stale_evidence(store, rollout, at)
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
        missing.extend(_missing_for_promotion(store, rollout, seen))
    return missing


def _stale_evidence(store: Store, rollout: Rollout, at: datetime) -> list[tuple[Gate, str]]:
    """Why the offline evidence no longer holds, with the command that renews it. A rollout that began without a verdict
    has none, and promotion then asks for one."""
    verdict = store.get(Verdict, rollout.verdict_id) if rollout.verdict_id else None
    if verdict is None:
        return []
    route = next((one for one in store.routes() if one.name == rollout.route), None)
    target = None if route is None else route.candidate
    ages = ages_of(
        store,
        verdict,
        task=rollout.task,
        candidate=None if target is None else target.model,
        at=at,
        max_age_days=MAX_AGE_DAYS,
    )
    stale: list[tuple[Gate, str]] = [
        (
            "evidence",
            f"the evidence of {one.gate} no longer holds: {'; '.join(one.stale)} ({one.renew} renews it)",
        )
        for one in ages
        if one.stale
    ]
    return stale


def _missing_for_promotion(store: Store, rollout: Rollout, seen: Look) -> list[tuple[Gate, str]]:
    missing: list[tuple[Gate, str]] = []
    verdict = store.get(Verdict, rollout.verdict_id) if rollout.verdict_id else None
    if verdict is None or verdict.outcome != "promote":
        missing.append(("verdict", "no offline verdict says promote"))
    elif (target := _candidate_of(store, rollout.route)) is not None and target.model != verdict.candidate:
        other = (
            f"the verdict is on {verdict.candidate}, and the route's candidate is {target.model}: freehold rollout "
            f"start --candidate {verdict.candidate} moves to the one, freehold migrate proves the other"
        )
        missing.append(("verdict", other))
    elif target is not None and target.endpoint != ENDPOINT_NAME and _is_prepared(verdict):
        other = (
            f"{verdict.candidate} was proven with a prompt or examples that freehold puts before each request, and "
            f"the route asks {target.endpoint} without: --candidate {verdict.candidate} of freehold rollout start"
        )
        missing.append(("verdict", other))
    elif verdict.mixture_id is not None and not _has_rule(store, rollout, verdict):
        other = "the verdict is on a mixture, and the route has another rule or none: freehold rollout start"
        missing.append(("verdict", other))
    elif (code := required_parity(verdict)) is not None and code not in {one.code for one in verdict.reasons}:
        apart = "the served model was not compared with the trained one: freehold migrate does it"
        missing.append(("parity", apart))
    for state in seen.metrics:
        if state.promote is False and state.metric != "latency":
            missing.append((state.metric, f"{state.metric}: not yet shown to be within its margin"))
    return missing


def _candidate_of(store: Store, route_name: str) -> Target | None:
    """Where and under which name a route asks its candidate; None where there is none."""
    route = next((one for one in store.routes() if one.name == route_name), None)
    if route is None or route.candidate is None:
        return None
    return msgspec.structs.replace(route.candidate, model=route.candidate.model or route.model)


def _is_prepared(verdict: Verdict) -> bool:
    """Whether what was proven is more than the model: what is served here does it to requests, an address does not."""
    return verdict.evidence is not None and verdict.evidence.parts.get("prompt", AS_ASKED) != AS_ASKED


def _has_rule(store: Store, rollout: Rollout, verdict: Verdict) -> bool:
    """Whether the route still has the rule that was proven."""
    rule = rule_of(store, rollout.route)
    return rule is not None and rule.mixture_id == verdict.mixture_id


def rule_of(store: Store, route_name: str) -> DeferralRule | None:
    return next((one.deferral for one in store.routes() if one.name == route_name), None)


def required_parity(verdict: Verdict) -> str | None:
    """The reason that shows, for a candidate made as the verdict's was, that what is served is what was made."""
    if verdict.method is not None:
        return METHOD_KINDS[verdict.method].parity
    # From an evaluation outside a migration: what is served on one's own machine may have been trained.
    return "parity_ok" if any(reason.code == "fits" for reason in verdict.reasons) else None
