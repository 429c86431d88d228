"""L104: gates on kinds of business: model-as-a-service, work assistants, clouds, competitors."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.domains import business_tags
from freehold.licensing.figures import read
from freehold.licensing.rules.base import Assumption, Contingency, RuleFinding, not_stated, reason
from freehold.licensing.situation import NOT_LICENSEES, LicenseLayer, Situation
from freehold.types.license import BusinessClause
from freehold.types.ruling import Obligation


class BusinessGates:
    """A gate may bite at any size or only above a line, and may ask for an act instead of barring."""

    code = "L104"
    title = "Kind of business the licence keeps back"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer in situation.layers:
            for clause in layer.license.clauses:
                if isinstance(clause, BusinessClause):
                    yield from self._judge(clause, layer, situation)

    def _judge(
        self, clause: BusinessClause, layer: LicenseLayer, situation: Situation
    ) -> Iterator[RuleFinding]:
        use = situation.use
        events = layer.events & set(clause.events)
        outside = situation.mode in NOT_LICENSEES or not (clause.any_mode or events)
        if outside:
            yield reason(self, layer, clause, f"{clause.text}; {situation.delivered} use is outside the gate")
            return
        if clause.commercial_only and use.commercial is False:
            yield reason(self, layer, clause, f"{clause.text}; it binds commercial use only")
            return
        kinds: list[str] = []
        for kind in (use.product_type, use.business):
            if kind is not None:
                kinds += [kind, *sorted(business_tags(kind))]
        if use.competes_with_licensor is not None:
            kinds.append("competitor" if use.competes_with_licensor else "not_competitor")
        gated = next((kind for kind in kinds if kind in clause.gated), None)
        if "*" in clause.gated:
            gated = kinds[0] if kinds else "this business"
        free = next((kind for kind in kinds if kind in clause.free), None)
        readings = [read(limit, use) for limit in clause.over]
        over = next((r for r in readings if r.side in ("above", "unclear")), None)
        if readings and over is None:
            open_lines = [reading for reading in readings if reading.side == "unknown"]
            spared = free is not None and gated is None
            for reading in () if spared else readings:
                yield Contingency(f"above {reading.line}: the gate of {layer.license.name} applies")
            for reading in () if spared else open_lines:
                yield Assumption(not_stated(layer, reading))
            if gated is None and not spared:
                yield Assumption(_kind_assumed(layer, clause, kinds))
            said = "this kind of business is outside the gate" if spared else "below the line"
            if open_lines and not spared:
                said = "taken to be below the line, which is not stated"
            yield reason(self, layer, clause, f"{clause.text}; {said}")
            return
        if gated is None:
            if not kinds and "hosting" in events and clause.type_unknown != "assume":
                text = f"{clause.text}; state the kind of product"
                yield reason(self, layer, clause, text, clause.type_unknown)
                return
            yield reason(self, layer, clause, f"{clause.text}; this kind of business is outside the gate")
            if free is None:
                yield Assumption(_kind_assumed(layer, clause, kinds))
            return
        if clause.duty is not None:
            yield Obligation(
                key=clause.duty,
                license_id=layer.license.id,
                section=clause.section,
                text=clause.text,
                model=layer.model,
            )
            yield reason(self, layer, clause, f"{clause.text}; {gated}")
            return
        yield reason(self, layer, clause, f"{clause.text}; {gated} is gated", clause.otherwise)


def _kind_assumed(layer: LicenseLayer, clause: BusinessClause, kinds: list[str]) -> str:
    names = ", ".join(word.replace("_", " ") for word in clause.gated)
    said = "as stated" if kinds else "not stated"
    return f"{layer.license.name}: the business is none of {names} ({said})"
