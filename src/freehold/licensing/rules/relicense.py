"""L109: tags that the ancestors do not allow."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.rules.base import Assumption, RuleFinding, Violation, reason
from freehold.licensing.rules.duty import is_due
from freehold.licensing.situation import LicenseLayer, Situation
from freehold.types.license import DutyClause, RelicenseClause

_DROPPED = frozenset({"license_copy", "display_attribution", "pass_through_use_restrictions"})


class Relicensing:
    """A tag never lifts a duty. Publishing under a foreign tag is a violation; another party's tag is drift."""

    code = "L109"
    title = "Published under a tag the ancestors do not allow"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        claims = [
            (
                ancestor.edge.claimed_license,
                ancestor.own or ancestor.edge.model == situation.use.derivative_name,
            )
            for ancestor in situation.ancestors
            if ancestor.edge.claimed_license
        ]
        if situation.use.claimed_license:
            claims.append((situation.use.claimed_license, True))
        for layer in () if claims else situation.layers:
            clause = next((c for c in layer.license.clauses if isinstance(c, RelicenseClause)), None)
            if clause is not None and layer.derivative and layer.modified and "copies" in situation.events:
                yield reason(self, layer, clause, clause.text)
        for claim, own in claims:
            for layer in situation.layers:
                if layer.relation == "data" or not layer.derivative or layer.license.permissive:
                    continue
                if layer.license.scope == "service" or _same(claim or "", layer):
                    continue
                clause = next((c for c in layer.license.clauses if isinstance(c, RelicenseClause)), None)
                if clause is None:
                    continue
                text = f"tag '{claim}' over {layer.license.name}: {clause.text}"
                yield reason(self, layer, clause, text)
                yield Assumption(f"drift: the tag '{claim}' does not lift {layer.license.name}")
                if own and not clause.may_relicense and "copies" in situation.events:
                    yield Violation("relicensing", text)
                    yield from _dropped(layer, situation, text)


def _dropped(layer: LicenseLayer, situation: Situation, text: str) -> Iterator[Violation]:
    """A foreign tag stands where this licence's own copy, phrase and restrictions would have to stand."""
    for clause in layer.license.clauses:
        if not isinstance(clause, DutyClause) or clause.key not in _DROPPED:
            continue
        if is_due(clause, layer, situation):
            yield Violation(clause.key, text)


def _same(claim: str, layer: LicenseLayer) -> bool:
    wanted = _plain(claim)
    return any(
        _plain(name) == wanted for name in (layer.license.id, layer.license.name, *layer.license.names)
    )


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
