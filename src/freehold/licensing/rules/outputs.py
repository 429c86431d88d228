"""L105: outputs that another model is trained on or asked with, under a weights licence or the contract of a service.

The clauses speak of training, or of developing a model that competes. Whether answers that are shown to a model as
examples are used so is not settled: what a clause bars for training comes out as unclear, never as allowed.
"""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.rules.base import Assumption, Contingency, RuleFinding, reason
from freehold.licensing.situation import LicenseLayer, Situation
from freehold.types.license import OutputsClause, StudentFate
from freehold.types.ruling import RulingReason


class OutputTraining:
    """Base and teacher are independent gates: what the base allows does not lift what the teacher bars."""

    code = "L105"
    title = "Training on outputs"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for layer in situation.layers:
            if layer.relation == "shown":
                yield from self._judge_shown(layer, situation)
                continue
            if layer.relation == "weights" and layer.license.scope == "service":
                yield self._plain(layer, "the terms of this service are only known for training on outputs")
                continue
            teaches = layer.relation == "teacher" or (
                layer.relation == "data" and layer.license.scope == "service"
            )
            clause = next((c for c in layer.license.clauses if isinstance(c, OutputsClause)), None)
            if not teaches:
                if situation.trains and clause is not None and not layer.license.permissive:
                    yield reason(self, layer, clause, f"{clause.text}; it says nothing on what goes in")
                continue
            if clause is None:
                if layer.license.permissive:
                    continue
                yield self._plain(layer, f"{layer.license.name} is silent on training with outputs")
                continue
            yield from self._judge(clause, layer, situation)

    def _judge_shown(self, layer: LicenseLayer, situation: Situation) -> Iterator[RuleFinding]:
        clause = next((c for c in layer.license.clauses if isinstance(c, OutputsClause)), None)
        if clause is None:
            if not layer.license.permissive:
                yield self._plain(layer, f"{layer.license.name} is silent on outputs shown to another model")
            return
        barred = False
        for finding in self._judge(clause, layer, situation):
            if isinstance(finding, RulingReason) and finding.outcome is not None:
                barred = True
                text = f"{clause.text}; {_NOT_SETTLED}"
                yield reason(self, layer, clause, text, "unclear")
            else:
                yield finding
        if barred:
            yield Contingency(f"examples whose answers people gave, instead of those of {layer.model}")
        elif not layer.license.permissive:
            yield Assumption(f"showing answers of {layer.model} as examples is a use like training on them")

    def _judge(
        self, clause: OutputsClause, layer: LicenseLayer, situation: Situation
    ) -> Iterator[RuleFinding]:
        if layer.license.scope == "service" and layer.ancestor.edge.kind == "trained_on":
            yield reason(self, layer, clause, f"{clause.text}; it binds the account holder", "unclear")
            return
        party = layer.license.licensor.lower()
        accounts = situation.use.accounts
        stranger = accounts is not None and not any(account.lower() in party for account in accounts)
        if layer.license.scope == "service" and stranger:
            text = f"{clause.text}; it binds the account holder, which you say you are not"
            yield reason(self, layer, clause, text, "unclear")
            return
        bases = {
            other.license.id
            for other in situation.layers
            if other.relation == "weights" and other is not layer
        }
        if bases and bases & set(clause.except_licenses):
            yield reason(self, layer, clause, f"{clause.text}; the student stands on the excepted model")
            return
        kind = situation.student_kind
        fate: StudentFate = {
            "classifier": clause.classifier, "assistant": clause.assistant, "unknown": clause.other
        }[kind]  # fmt: skip
        if kind == "classifier" and clause.llm_only and _base_is_llm(situation):
            fate = clause.other
        by_competition = kind == "unknown" and clause.assistant == "not_allowed" and clause.other == "unclear"
        if by_competition and situation.use.competes_with_licensor is False:
            fate = "free"
            yield Assumption("the trained model does not compete with the teacher's licensor, as stated")
        if fate == "undistributed":
            if "copies" in situation.events:
                fate = "not_allowed"
            elif "hosting" in situation.events and situation.use.commercial is not False:
                fate = "unclear"
            else:
                fate = "free"
                yield Assumption("the trained classifier is neither passed on nor sold")
        if fate == "free":
            yield reason(self, layer, clause, clause.text)
            if kind == "classifier" and clause.assistant != "free":
                yield Assumption("the student stays a classifier and does not stand in for the teacher")
            return
        yield reason(self, layer, clause, f"{clause.text}; the student is {_STUDENTS[kind]}", fate)

    def _plain(self, layer: LicenseLayer, text: str) -> RulingReason:
        return RulingReason(
            code=self.code,
            license_id=layer.license.id,
            section="whole text",
            text=text,
            confidence=layer.license.confidence,
            model=layer.model,
            outcome="unclear",
            source=layer.license.source,
        )


_NOT_SETTLED = "whether it reaches answers that are only shown as examples is not settled"

_STUDENTS = {
    "classifier": "a classifier",
    "assistant": "a general or competing assistant",
    "unknown": "a model whose purpose is not known to be outside the bar",
}


def _base_is_llm(situation: Situation) -> bool:
    bases = [ancestor.release for ancestor in situation.ancestors if ancestor.edge.kind == "base"]
    return any(release is None or release.kind != "encoder" for release in bases)
