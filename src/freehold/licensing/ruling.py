"""From a situation to a ruling: ask every rule, keep the strictest outcome, merge the duties."""

from __future__ import annotations

from typing import TypeVar

from freehold.licensing.duty import Contradictions, Duties, Relicensing
from freehold.licensing.grant import (
    BusinessGates,
    Domains,
    GrantedPurpose,
    Modifications,
    Regions,
    Termination,
    Thresholds,
)
from freehold.licensing.origin import Notes, OutputTraining, Profile, UnknownLicense
from freehold.licensing.situation import Assumption, Contingency, LicenseRule, Situation, Violation
from freehold.licensing.words import KEY_TITLES
from freehold.types.license import BARRED, Obligation, Ruling, RulingOutcome, RulingReason
from freehold.types.record import content_id
from freehold.types.use import Mode

RULES: tuple[LicenseRule, ...] = (
    Profile(),
    UnknownLicense(),
    GrantedPurpose(),
    Thresholds(),
    Regions(),
    BusinessGates(),
    OutputTraining(),
    Domains(),
    Modifications(),
    Termination(),
    Relicensing(),
    Contradictions(),
    Duties(),
    Notes(),
)

SEVERITY: dict[RulingOutcome, int] = {
    "allowed": 0,
    "allowed_with_obligations": 1,
    "unclear": 2,
    "needs_separate_license": 3,
    "not_allowed": 4,
}
"""Higher is stricter. The outcome of a ruling is the strictest that any reason or violation demands."""

T = TypeVar("T")


def rule(situation: Situation, *, version: str = "") -> Ruling:
    """Rule on a use. Never raises for a legal result; what is not known comes out as ``unclear``."""
    reasons: list[RulingReason] = []
    obligations: list[Obligation] = []
    violations: list[Violation] = []
    assumptions: list[str] = []
    changes: list[Contingency] = []
    for check in RULES:
        for finding in check.check(situation):
            match finding:
                case RulingReason():
                    reasons.append(finding)
                case Obligation():
                    obligations.append(finding)
                case Violation():
                    violations.append(finding)
                case Assumption():
                    assumptions.append(finding.text)
                case Contingency():
                    changes.append(finding)
    outcome: RulingOutcome = "allowed"
    if any(not (duty.recommended or duty.passive) for duty in obligations):
        outcome = "allowed_with_obligations"
    for reason in reasons:
        if reason.outcome is not None and SEVERITY[reason.outcome] > SEVERITY[outcome]:
            outcome = reason.outcome
    if situation.mode_assumed:
        changes = [*_other_modes(situation, outcome), *changes]
    if outcome == "unclear":
        changes += _letters(situation, reasons)
    blocked = SEVERITY[outcome] >= SEVERITY["needs_separate_license"]
    if violations:
        outcome = "not_allowed"
    lineage, use = situation.lineage, situation.use
    return Ruling(
        id=content_id({"lineage": lineage, "use": use, "version": version}),
        model=lineage.model,
        outcome=outcome,
        reasons=tuple(sorted(_unique(reasons), key=lambda one: -SEVERITY[one.outcome or "allowed"])),
        obligations=tuple(_unique(obligations)),
        violations=tuple(_unique([violation.key for violation in violations])),
        would_change=tuple(_unique([change.text for change in changes])),
        open_lines=tuple(_unique([change.text for change in changes if change.open])),
        assumptions=tuple(_unique(assumptions)),
        licenses=tuple(_unique([layer.license.id for layer in situation.layers])),
        version=version,
        details={
            "violation_texts": _unique([violation.text for violation in violations]),
            "mendable": bool(violations) and not blocked,
        },
    )


def _letters(situation: Situation, reasons: list[RulingReason]) -> list[Contingency]:
    """Who could say what the texts leave open."""
    licensors = {layer.license.id: layer.license.licensor for layer in situation.layers}
    return [
        Contingency(
            f"a letter from {licensors[one.license_id]} on {one.section}"
            if one.license_id in licensors
            else f"the licence of {one.model}, stated by an id or its text"
        )
        for one in reasons
        if one.outcome == "unclear"
    ]


_MODES: dict[Mode, str] = {
    "hosted_service": "hosted for others",
    "embedded_product": "built into a product that others get",
    "distribute_weights": "weights passed on",
}


def _other_modes(situation: Situation, assumed: RulingOutcome) -> list[Contingency]:
    """What the usual other ways of use would come out as, where none was stated and that changes something."""
    found = []
    for mode, words in _MODES.items():
        other = rule(situation.with_use(mode=mode))
        if other.outcome == assumed and SEVERITY[assumed] >= SEVERITY["unclear"]:
            continue
        due = [KEY_TITLES.get(d.key, d.key) for d in other.obligations if not (d.recommended or d.passive)]
        duties = list(dict.fromkeys(due))
        listed = f": {'; '.join(duties)}" if duties and SEVERITY[other.outcome] < SEVERITY["unclear"] else ""
        said = f"{words}: {other.outcome.replace('_', ' ')}{listed}"
        found.append(Contingency(said, other.outcome in BARRED))
    return found


def _unique(items: list[T]) -> list[T]:
    """In order, without repeats. Records compare by value."""
    seen: list[T] = []
    for item in items:
        if item not in seen:
            seen.append(item)
    return seen
