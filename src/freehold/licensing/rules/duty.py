"""L201: what must be done, and whether the described use already breaks it."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.duties import KEY_TITLES
from freehold.licensing.figures import read
from freehold.licensing.naming import begins_with
from freehold.licensing.rules.base import (
    Assumption,
    Contingency,
    RuleFinding,
    Violation,
    not_stated,
    reason,
)
from freehold.licensing.situation import NOT_LICENSEES, LicenseLayer, Situation
from freehold.types.license import DutyClause
from freehold.types.ruling import Obligation

_NOTICE_KEYS = frozenset({"retain_notices", "notice_file"})


class Duties:
    """Union over all layers; a published name or a stripped notice that breaks a duty is a violation."""

    code = "L201"
    title = "Duties"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer in situation.layers:
            for clause in layer.license.clauses:
                if isinstance(clause, DutyClause):
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
                    value = _value(clause, layer)
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
            value=_value(clause, layer),
            model=layer.model,
            recommended=recommended,
            passive=clause.passive,
        )
        unsettled = layer.relation == "data" and clause.key == "share_alike"
        text = f"{clause.text}; whether that reaches a model trained on the data is not settled"
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


def _value(clause: DutyClause, layer: LicenseLayer) -> str | None:
    name = layer.model.rpartition("/")[2]
    return None if clause.value is None else clause.value.replace("{model}", name)
