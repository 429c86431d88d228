"""What a rule is: a code, a title, and a check that returns data. Formatting is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from freehold.licensing.figures import Reading
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


def not_stated(layer: LicenseLayer, reading: Reading) -> str:
    """The assumption that a figure that was not stated is not above a licence's line."""
    said = "not stated" if reading.stands_in is None else f"not stated; {reading.stands_in}"
    return f"{layer.license.name}: not above {reading.line} ({said})"


def reason(
    rule: LicenseRule, layer: LicenseLayer, clause: Clause, text: str, outcome: RulingOutcome | None = None
) -> RulingReason:
    """A reason that rests on one clause of one layer.

    What is known from secondary sources counts as it stands, a bar as well as a permission: the ruling names it as
    an assumption with the place to check, and never turns a bar into less than a bar.
    """
    confidence = clause.confidence or layer.license.confidence
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
