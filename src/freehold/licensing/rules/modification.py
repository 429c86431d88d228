"""L107: changes that may not be made."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.domains import change_tags
from freehold.licensing.rules.base import RuleFinding, reason
from freehold.licensing.situation import Situation
from freehold.types.license import ModificationClause


class Modifications:
    """Removing safeguards ends some grants and breaks the use policy of others."""

    code = "L107"
    title = "Change that is barred"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        tags = change_tags(situation.use.modification)
        for layer in situation.layers:
            for clause in layer.license.clauses:
                if isinstance(clause, ModificationClause) and tags & set(clause.barred):
                    change = situation.use.modification
                    yield reason(self, layer, clause, f"{clause.text}; {change}", clause.otherwise)
