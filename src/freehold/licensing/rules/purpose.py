"""L101: research-only, non-commercial and non-production grants."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.rules.base import Assumption, Contingency, RuleFinding, reason
from freehold.licensing.situation import NOT_LICENSEES, LicenseLayer, Situation
from freehold.types.license import Outcome, Purpose, PurposeClause

_SPECIFIC: frozenset[Purpose] = frozenset({"research", "evaluation", "proof_of_concept", "education"})
_TRIALS: frozenset[Purpose] = frozenset({"evaluation", "proof_of_concept"})


class GrantedPurpose:
    """The grant reaches only the purposes it names; a use whose purpose is not stated is unclear."""

    code = "L101"
    title = "Purpose outside the grant"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer in situation.layers:
            for clause in layer.license.clauses:
                if isinstance(clause, PurposeClause) and situation.mode not in NOT_LICENSEES:
                    yield from self._judge(clause, layer, situation)

    def _judge(
        self, clause: PurposeClause, layer: LicenseLayer, situation: Situation
    ) -> Iterator[RuleFinding]:
        purposes = situation.purposes
        modes = {situation.mode, situation.delivered}
        if modes & set(clause.modes_excluded) and not (purposes & _TRIALS & set(clause.granted)):
            mode = next(mode for mode in clause.modes_excluded if mode in modes)
            yield reason(self, layer, clause, f"{clause.text}; {mode} is outside", clause.otherwise)
            return
        outcome = _outcome(clause, purposes, situation)
        if outcome is not None and _passed_on_for_research(clause, situation):
            outcome = None
            yield Assumption(
                f"{layer.license.name}: it is passed on for research, as the grant asks, and recipients keep to that"
            )
        if outcome is None:
            yield reason(self, layer, clause, f"{clause.text}; the stated purpose is inside")
            if "commercial" in purposes:
                yield Assumption("the use is evaluation only: nothing of it reaches production or customers")
            if situation.use.annual_revenue_usd and "commercial" not in purposes:
                yield Assumption("the use stays non-commercial although the licensee has revenue")
            yield Contingency(f"{layer.license.name}: commercial use is outside the grant ({clause.section})")
        elif not purposes:
            yield reason(self, layer, clause, f"{clause.text}; is the use commercial?", "unclear")
        else:
            yield reason(
                self, layer, clause, f"{clause.text}; {', '.join(sorted(purposes))} use is outside", outcome
            )


def _passed_on_for_research(clause: PurposeClause, situation: Situation) -> bool:
    """Weights given away without commerce: research grants allow that with the duties of distribution."""
    return (
        situation.delivered == "distribute_weights"
        and situation.purposes == {"non_commercial"}
        and "research" in clause.granted
        and "distribute_weights" not in clause.modes_excluded
    )


def _outcome(clause: PurposeClause, purposes: frozenset[Purpose], situation: Situation) -> Outcome | None:
    """None when the purposes are inside the grant."""
    granted = set(clause.granted)
    if not purposes:
        return "unclear"
    specific = purposes & _SPECIFIC
    if "commercial" in purposes:
        trial = specific & _TRIALS & granted
        return None if trial and situation.delivered in ("internal", "research") else clause.otherwise
    if "proof_of_concept" in specific and "proof_of_concept" not in granted:
        return clause.otherwise
    if specific & granted:
        return None
    general = purposes - _SPECIFIC
    if general & granted or ("non_commercial" in granted):
        return None
    if purposes & set(clause.unclear):
        return "unclear"
    return clause.otherwise
