"""L101 to L104 and L106 to L108: what a grant reaches: purposes, size, regions, kinds of business, fields of use,
changes, and suits that end it.
"""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.figures import read
from freehold.licensing.situation import (
    NOT_LICENSEES,
    Assumption,
    Contingency,
    LicenseLayer,
    RuleFinding,
    Situation,
    not_stated,
    reason,
)
from freehold.licensing.words import business_tags, change_tags, domain_tags, inside
from freehold.types.license import (
    BARRED,
    BusinessClause,
    DomainClause,
    ModificationClause,
    Obligation,
    Outcome,
    Purpose,
    PurposeClause,
    RegionClause,
    TerminationClause,
    ThresholdClause,
)

_SPECIFIC: frozenset[Purpose] = frozenset({"research", "evaluation", "proof_of_concept", "education"})
_TRIALS: frozenset[Purpose] = frozenset({"evaluation", "proof_of_concept"})


class GrantedPurpose:
    """The grant reaches only the purposes it names; a use whose purpose is not stated is unclear."""

    code = "L101"
    title = "Purpose outside the grant"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        if situation.mode not in NOT_LICENSEES:
            for layer, clause in situation.clauses(PurposeClause):
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
        outcome = _purpose_outcome(clause, purposes, situation)
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


def _purpose_outcome(
    clause: PurposeClause, purposes: frozenset[Purpose], situation: Situation
) -> Outcome | None:
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


class Thresholds:
    """A missing figure is unknown, not zero: the answer then rests on a named assumption."""

    code = "L102"
    title = "Users or revenue above the licence's line"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer, clause in situation.clauses(ThresholdClause):
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
            bars = clause.otherwise in BARRED and reading.side == "unknown"
            yield Contingency(f"above {reading.line}: {outcome} under {layer.license.name}", bars)


class Regions:
    """Whom a region clause looks at differs: the seat of the licensee, or wherever the work is used."""

    code = "L103"
    title = "Seat or place of use outside the grant"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer, clause in situation.clauses(RegionClause):
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
            places += use.regions + (() if use.user_location is None else (use.user_location,))
        hit = next((place for place in places if inside(place, clause.excluded)), None)
        if hit is not None:
            if clause.multimodal_only and _made_text_only(situation):
                text = f"{clause.text}; {hit} is one of the places, but what is used is no longer multimodal"
                yield reason(self, layer, clause, text, "unclear")
                return
            yield reason(self, layer, clause, f"{clause.text}; {hit} is one of the places", clause.otherwise)
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


class BusinessGates:
    """A gate may bite at any size or only above a line, and may ask for an act instead of barring."""

    code = "L104"
    title = "Kind of business the licence keeps back"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer, clause in situation.clauses(BusinessClause):
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
        if use.affiliate_runs_maas and clause.counts_affiliates:
            kinds.append("model_as_a_service")
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
                bars = clause.otherwise in BARRED and reading.side == "unknown"
                yield Contingency(f"above {reading.line}: the gate of {layer.license.name} applies", bars)
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
    return f"{layer.license.name}: your business is not one of {names} ({said})"


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
                    yield Assumption(f"{layer.license.name}: you do not use it for {names} (not stated)")
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


class Modifications:
    """Removing safeguards ends some grants and breaks the use policy of others."""

    code = "L107"
    title = "Change that is barred"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        tags = change_tags(situation.use.modification)
        for layer, clause in situation.clauses(ModificationClause):
            if tags & set(clause.barred):
                change = situation.use.modification
                yield reason(self, layer, clause, f"{clause.text}; {change}", clause.otherwise)


_DEFENSIVE = ("defensive", "counterclaim", "counter-claim", "in response", "sued first")


class Termination:
    """A patent suit may end only the patent licence, which leaves the rest open: that is unclear."""

    code = "L108"
    title = "Litigation"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        suit = (situation.use.litigation or "").lower().replace("_", " ").strip()
        if not suit or suit in ("no", "false") or suit.startswith("none"):
            return
        offensive = ("patent" in suit or suit in ("true", "yes")) and not any(
            word in suit for word in _DEFENSIVE
        )
        for layer, clause in situation.clauses(TerminationClause):
            if clause.litigation == "any":
                yield reason(self, layer, clause, f"{clause.text}; {suit}", "not_allowed")
            elif clause.litigation is not None and offensive:
                outcome: Outcome = "not_allowed" if clause.litigation == "patent_all" else "unclear"
                yield reason(self, layer, clause, f"{clause.text}; {suit}", outcome)
