"""L102: lines on users and revenue, frozen at a date or read today."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.figures import read
from freehold.licensing.rules.base import Assumption, Contingency, RuleFinding, not_stated, reason
from freehold.licensing.situation import LicenseLayer, Situation
from freehold.types.license import ThresholdClause


class Thresholds:
    """A missing figure is unknown, not zero: the answer then rests on a named assumption."""

    code = "L102"
    title = "Users or revenue above the licence's line"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer in situation.layers:
            for clause in layer.license.clauses:
                if isinstance(clause, ThresholdClause):
                    yield from self._judge(clause, layer, situation)

    def _judge(
        self, clause: ThresholdClause, layer: LicenseLayer, situation: Situation
    ) -> Iterator[RuleFinding]:
        use = situation.use
        if situation.mode in clause.modes_exempt:
            yield reason(self, layer, clause, f"{clause.text}; it does not bind {situation.mode}")
            return
        if clause.commercial_only and use.commercial is False:
            yield reason(self, layer, clause, f"{clause.text}; it binds commercial use only")
            return
        if clause.nonprofit_research_exempt and use.nonprofit and not use.commercial:
            yield reason(self, layer, clause, f"{clause.text}; a non-profit's research is exempt")
            return
        readings = [read(limit, use) for limit in clause.any_of]
        above = next((r for r in readings if r.side == "above"), None)
        if above is not None:
            yield reason(self, layer, clause, f"{clause.text}; above {above.line}", clause.otherwise)
            if above.stands_in:
                yield Assumption(f"{layer.license.name}: {above.stands_in}")
            return
        for reading in readings:
            if reading.side == "unclear":
                yield reason(self, layer, clause, f"{clause.text}; {reading.why}", "unclear")
                continue
            if reading.side == "unknown":
                yield Assumption(not_stated(layer, reading))
            elif reading.stands_in:
                yield Assumption(f"{layer.license.name}: {reading.stands_in}")
            taken = "taken to be" if reading.side == "unknown" else "is"
            yield reason(self, layer, clause, f"{clause.text}; the figure {taken} not above {reading.line}")
            outcome = clause.otherwise.replace("_", " ")
            yield Contingency(f"above {reading.line}: {outcome} under {layer.license.name}")
