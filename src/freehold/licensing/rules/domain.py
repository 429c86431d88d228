"""L106: fields of use that are barred."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.domains import domain_tags
from freehold.licensing.rules.base import Assumption, RuleFinding, reason
from freehold.licensing.situation import Situation
from freehold.types.license import DomainClause, Outcome


class Domains:
    """Some bars fall where a qualified person decides; `human_review` says so."""

    code = "L106"
    title = "Field of use barred"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        tags = domain_tags(situation.use.domain)
        for layer in situation.layers:
            if layer.relation == "data":
                continue
            if situation.use.domain is None:
                fields = dict.fromkeys(
                    tag for c in layer.license.clauses if isinstance(c, DomainClause) for tag in c.barred
                )
                if fields:
                    names = ", ".join(tag.replace("_", " ") for tag in fields)
                    yield Assumption(
                        f"{layer.license.name}: the field of use is none of {names} (not stated)"
                    )
                continue
            for clause in layer.license.clauses:
                if not isinstance(clause, DomainClause):
                    continue
                hit = sorted(tags & set(clause.barred))
                if not hit:
                    continue
                field = hit[0].replace("_", " ")
                if clause.reviewed_ok and situation.use.human_review:
                    yield reason(self, layer, clause, f"{clause.text}; {field}, but a person decides")
                    yield Assumption(f"{field}: a qualified person reviews and decides")
                    continue
                outcome: Outcome = "unclear" if clause.unclear else "not_allowed"
                yield reason(self, layer, clause, f"{clause.text}; the domain is {field}", outcome)
        if situation.use.domain is not None and not tags:
            yield Assumption(f"the domain '{situation.use.domain}' is not barred by any licence here")
