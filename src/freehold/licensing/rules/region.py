"""L103: regions the grant does not reach."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.regions import inside
from freehold.licensing.rules.base import Assumption, Contingency, RuleFinding, reason
from freehold.licensing.situation import LicenseLayer, Situation
from freehold.types.license import RegionClause


class Regions:
    """Whom a region clause looks at differs: the seat of the licensee, or wherever the work is used."""

    code = "L103"
    title = "Seat or place of use outside the grant"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer in situation.layers:
            for clause in layer.license.clauses:
                if isinstance(clause, RegionClause):
                    yield from self._judge(clause, layer, situation)

    def _judge(
        self, clause: RegionClause, layer: LicenseLayer, situation: Situation
    ) -> Iterator[RuleFinding]:
        release = layer.ancestor.release
        if clause.multimodal_only and release is not None and release.kind != "multimodal":
            yield reason(self, layer, clause, f"{clause.text}; {layer.model} is text only")
            return
        if situation.mode in clause.modes_exempt:
            yield reason(self, layer, clause, f"{clause.text}; it does not bind {situation.mode}")
            return
        use = situation.use
        places: tuple[str, ...] = () if use.seat is None else (use.seat,)
        if clause.whom == "place_of_use":
            places += use.regions
        hit = next((place for place in places if inside(place, clause.excluded)), None)
        if hit is not None:
            if clause.multimodal_only and _made_text_only(situation):
                text = f"{clause.text}; {hit} is among them, but what is used is no longer multimodal"
                yield reason(self, layer, clause, text, "unclear")
                return
            yield reason(self, layer, clause, f"{clause.text}; {hit} is among them", clause.otherwise)
            return
        names = ", ".join(clause.excluded)
        if clause.whom == "licensee_seat" and use.seat is None:
            yield Assumption(f"{layer.license.name}: the licensee is not established in {names} (not stated)")
        if clause.whom == "place_of_use" and not places:
            yield Assumption(f"{layer.license.name}: nothing is used or offered in {names} (not stated)")
        if use.parent_seat is not None and inside(use.parent_seat, clause.excluded):
            yield Assumption(f"{layer.license.name}: the licensee is the company, not its parent")
        yield reason(self, layer, clause, f"{clause.text}; not hit")
        yield Contingency(
            f"a {clause.whom.replace('_', ' ')} in {names}: {clause.otherwise.replace('_', ' ')}"
        )


def _made_text_only(situation: Situation) -> bool:
    """Whether surgery took the other modalities out; making that derivative may need the withheld rights."""
    parts = [
        ancestor.edge.model.lower() for ancestor in situation.ancestors if ancestor.edge.kind == "surgery"
    ]
    return any("text" in part or "vision" in part or "multimodal" in part for part in parts)
