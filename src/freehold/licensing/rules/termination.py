"""L108: suits that end the grant."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.rules.base import RuleFinding, reason
from freehold.licensing.situation import Situation
from freehold.types.license import Outcome, TerminationClause

_DEFENSIVE = ("defensive", "counterclaim", "counter-claim", "in response", "sued first")


class Termination:
    """A patent suit may end only the patent licence, which leaves the rest open: that is unclear."""

    code = "L108"
    title = "Litigation"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        suit = (situation.use.litigation or "").lower().replace("_", " ").strip()
        if not suit or suit in ("no", "false") or suit.startswith("none"):
            return
        for layer in situation.layers:
            for clause in layer.license.clauses:
                if not isinstance(clause, TerminationClause) or clause.litigation is None:
                    continue
                if clause.litigation == "any":
                    yield reason(self, layer, clause, f"{clause.text}; {suit}", "not_allowed")
                elif ("patent" in suit or suit in ("true", "yes")) and not any(
                    word in suit for word in _DEFENSIVE
                ):
                    outcome: Outcome = "not_allowed" if clause.litigation == "patent_all" else "unclear"
                    yield reason(self, layer, clause, f"{clause.text}; {suit}", outcome)
