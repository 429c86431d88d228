"""L110: terms of different ancestors that cannot all be kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from freehold.licensing.naming import compatible
from freehold.licensing.rules.base import RuleFinding, Violation, reason
from freehold.licensing.rules.duty import is_due
from freehold.licensing.situation import LicenseLayer, Situation
from freehold.types.license import (
    BusinessClause,
    DomainClause,
    DutyClause,
    PurposeClause,
    RegionClause,
    ThresholdClause,
)

_RESTRICTS = (PurposeClause, ThresholdClause, RegionClause, BusinessClause, DomainClause)
_ADDS_TERMS = frozenset({"pass_through_use_restrictions", "name_prefix"})


class Contradictions:
    """Two names that must both come first; share-alike against restrictions it does not allow to add."""

    code = "L110"
    title = "Ancestors' terms contradict each other"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        due = [
            (layer, clause)
            for layer in situation.layers
            for clause in layer.license.clauses
            if isinstance(clause, DutyClause) and is_due(clause, layer, situation)
        ]
        names = [(layer, clause) for layer, clause in due if clause.key == "name_prefix" and clause.value]
        for (layer, clause), (other, second) in combinations(names, 2):
            if not compatible(clause.value or "", second.value or ""):
                text = f"the name must begin with both '{clause.value}' and '{second.value}'"
                yield reason(self, layer, clause, text)
                yield reason(self, other, second, text)
                yield Violation("name_prefix", text)
        for layer, clause in due:
            if clause.key != "share_alike":
                continue
            for other in situation.layers:
                if other.license.id == layer.license.id or other.relation == "data" or not other.derivative:
                    continue
                term = _added_term(other, situation)
                if term is not None:
                    text = f"share-alike allows no added terms, but {other.license.name} demands: {term}"
                    yield reason(self, layer, clause, text)
                    yield Violation("share_alike", text)


def _added_term(layer: LicenseLayer, situation: Situation) -> str | None:
    if layer.license.permissive:
        return None
    for clause in layer.license.clauses:
        if isinstance(clause, _RESTRICTS) and layer.license.scope == "weights":
            return clause.text
        if isinstance(clause, DutyClause) and clause.key in _ADDS_TERMS and is_due(clause, layer, situation):
            return clause.text
    return None
