"""L201, L109 and L110: what must be done, whether the described use already breaks it, tags that the ancestors do not
allow, and terms of different ancestors that cannot all be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from freehold.licensing.figures import read
from freehold.licensing.situation import (
    NOT_LICENSEES,
    Assumption,
    Contingency,
    LicenseLayer,
    RuleFinding,
    Situation,
    Violation,
    not_stated,
    reason,
)
from freehold.licensing.words import KEY_TITLES, begins_with, compatible
from freehold.types.license import (
    BusinessClause,
    DomainClause,
    DutyClause,
    Obligation,
    PurposeClause,
    RegionClause,
    RelicenseClause,
    ThresholdClause,
)

_NOTICE_KEYS = frozenset({"retain_notices", "notice_file"})


class Duties:
    """Union over all layers; a published name or a stripped notice that breaks a duty is a violation."""

    code = "L201"
    title = "Duties"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer, clause in situation.clauses(DutyClause):
            yield from self._judge(clause, layer, situation)

    def _judge(self, clause: DutyClause, layer: LicenseLayer, situation: Situation) -> Iterator[RuleFinding]:
        use = situation.use
        if not is_due(clause, layer, situation):
            return
        if clause.commercial_known and not use.commercial:
            if use.commercial is None:
                yield Assumption(f"{layer.license.name}: the use is not commercial (not stated)")
                yield Contingency(f"a commercial use: {KEY_TITLES.get(clause.key, clause.key)}")
            return
        if (clause.commercial_only and use.commercial is False) or (
            clause.unless_registered and use.registered
        ):
            yield reason(self, layer, clause, f"{clause.text}; not due here")
            return
        if clause.announcement_only and not use.announcement:
            if use.announcement is None:
                yield Contingency(f"a public statement about the derivative must use: {clause.value}")
            return
        recommended = clause.recommended or (clause.named_changes_only and not situation.changed_openly)
        if situation.adapter_only and clause.adapters == "recommended":
            recommended = True
        if clause.over:
            readings = [read(limit, use) for limit in clause.over]
            above = next((r for r in readings if r.side in ("above", "unclear")), None)
            if above is None:
                for reading in readings:
                    value = _duty_value(clause, layer)
                    phrase = "" if value is None else f" (“{value}”)"
                    yield Contingency(
                        f"above {reading.line}: {KEY_TITLES.get(clause.key, clause.key)}{phrase}"
                    )
                    if reading.side == "unknown":
                        yield Assumption(not_stated(layer, reading))
                yield reason(self, layer, clause, f"{clause.text}; not above the line")
                return
            if above.stands_in:
                yield Assumption(f"{layer.license.name}: {above.stands_in}")
        yield Obligation(
            key=clause.key,
            license_id=layer.license.id,
            section=clause.section,
            text=clause.text,
            value=_duty_value(clause, layer),
            model=layer.model,
            recommended=recommended,
            passive=clause.passive,
        )
        unsettled = layer.relation == "data" and clause.key == "share_alike"
        text = f"{clause.text}; it is an open question whether that reaches a model trained on the data"
        yield reason(
            self, layer, clause, text if unsettled else clause.text, "unclear" if unsettled else None
        )
        if recommended:
            return
        name = use.derivative_name
        if clause.key == "name_prefix" and clause.value is not None:
            if name is not None and not begins_with(name, clause.value):
                yield Violation(
                    "name_prefix", f"'{name}' does not begin with '{clause.value}' ({clause.section})"
                )
        elif use.notices_kept is False and (clause.key in _NOTICE_KEYS or clause.is_notice):
            yield Violation(clause.key, f"notices were removed ({clause.section})")


def is_due(clause: DutyClause, layer: LicenseLayer, situation: Situation) -> bool:
    """Whether what happens to the artefact sets the duty off, leaving lines and exemptions aside."""
    if layer.relation == "data":
        return bool(layer.student_events & set(clause.events))
    events = set(clause.events)
    if layer.relation == "weights" or layer.derivative:
        licensee = situation.mode not in NOT_LICENSEES
        happens = (clause.any_mode and licensee) or bool(layer.events & events)
        if clause.modified is not None and clause.modified != layer.modified:
            return False
        if happens and (clause.weights or (clause.students and layer.relation == "teacher")):
            return True
    return clause.students and bool(layer.student_events & events)


def _duty_value(clause: DutyClause, layer: LicenseLayer) -> str | None:
    name = layer.model.rpartition("/")[2]
    return None if clause.value is None else clause.value.replace("{model}", name)


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
    wanted = _letters(claim)
    return any(
        _letters(name) == wanted for name in (layer.license.id, layer.license.name, *layer.license.names)
    )


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


_RESTRICTS = (PurposeClause, ThresholdClause, RegionClause, BusinessClause, DomainClause)
_ADDS_TERMS = frozenset({"pass_through_use_restrictions", "name_prefix"})


class Contradictions:
    """Two names that must both come first; share-alike against restrictions it does not allow to add."""

    code = "L110"
    title = "Ancestors' terms contradict each other"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        due = [
            (layer, clause)
            for layer, clause in situation.clauses(DutyClause)
            if is_due(clause, layer, situation)
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
