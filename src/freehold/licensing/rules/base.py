"""What a rule is: a code, a title, and a check that returns data. Formatting is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from freehold.licensing.situation import LicenseLayer, Situation
from freehold.types.license import Clause
from freehold.types.ruling import Obligation, RulingOutcome, RulingReason


class Violation(NamedTuple):
    """The described use breaks a duty and could mend it. `key` is the duty."""

    key: str
    text: str


class Assumption(NamedTuple):
    """Something the answer rests on that the profile does not say."""

    text: str


class Contingency(NamedTuple):
    """What would change the answer."""

    text: str


RuleFinding = RulingReason | Obligation | Violation | Assumption | Contingency


class LicenseRule(Protocol):
    """One rule. It sees the whole situation and yields what it finds; it never raises for a legal result."""

    code: str
    title: str

    def check(self, situation: Situation) -> Iterator[RuleFinding]: ...


def reason(
    rule: LicenseRule, layer: LicenseLayer, clause: Clause, text: str, outcome: RulingOutcome | None = None
) -> RulingReason:
    """A reason that rests on one clause of one layer.

    What is known from secondary sources only cannot decide: its outcome is at most ``unclear``.
    """
    confidence = clause.confidence or layer.license.confidence
    if confidence == "secondary" and outcome in ("not_allowed", "needs_separate_license"):
        outcome = "unclear"
    return RulingReason(
        code=rule.code,
        license_id=layer.license.id,
        section=clause.section,
        text=text,
        confidence=confidence,
        model=layer.model,
        outcome=outcome,
        source=clause.source or layer.license.source,
    )
