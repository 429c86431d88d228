"""L001, L105, L301 and L302: ancestors without a known licence, outputs that another model is trained on or asked with,
facts worth telling, and a use profile that contradicts itself.

The clauses on outputs speak of training, or of developing a model that competes. Whether answers that are shown to a
model as examples are used so is not settled: what a clause bars for training comes out as unclear, never as allowed.
"""

from __future__ import annotations

from collections.abc import Iterator

from freehold.licensing.situation import (
    Ancestor,
    Assumption,
    Contingency,
    LicenseLayer,
    RuleFinding,
    Situation,
    reason,
)
from freehold.types.license import NoteClause, OutputsClause, RulingReason, StudentFate


class UnknownLicense:
    """Fails closed: an ancestor without a known licence, or under one whose text was not read."""

    code = "L001"
    title = "Licence unknown or its text not read"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        if not any(ancestor.licenses for ancestor in situation.ancestors):
            yield self._unknown(
                situation.lineage.model, "no ancestor with a known licence: name the base model or a licence"
            )
        for ancestor in situation.ancestors:
            model = ancestor.edge.model
            if ancestor.note is not None:
                yield Assumption(f"{model}: {ancestor.note}")
            if ancestor.own or ancestor.licenses:
                if ancestor.confidence == "secondary":
                    yield Assumption(_second_hand(ancestor))
                continue
            yield self._unknown(
                model,
                f"no licence is known for {model}: supply it with --license ID or --license LICENSE, or say with "
                "--base ID what it is a copy of",
            )
        for layer in situation.layers:
            if layer.license.confidence == "secondary" and not layer.license.permissive:
                yield RulingReason(
                    code=self.code,
                    license_id=layer.license.id,
                    section="whole text",
                    text=f"the text of {layer.license.name} was not read; read it first",
                    confidence="secondary",
                    model=layer.model,
                    outcome="unclear",
                    source=layer.license.source,
                )

    def _unknown(self, model: str, text: str) -> RulingReason:
        return RulingReason(
            code=self.code,
            license_id="unknown",
            section="",
            text=text,
            confidence="none",
            model=model,
            outcome="unclear",
        )


def _second_hand(ancestor: Ancestor) -> str:
    """What a release's licence is known from where the licensor's own text was not read, and where to check."""
    release, model = ancestor.release, ancestor.edge.model
    source = "a secondary source" if release is None else release.source
    checked = f", read {release.checked}" if release is not None and release.checked else ""
    link = release.models[0] if release is not None and model not in release.models else model
    return (
        f"{model}: its licence is known at second hand ({source}{checked}); compare with "
        f"https://huggingface.co/{link} or the licence file of your copy"
    )


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
            teaches = (
                layer.relation == "teacher"
                or (layer.relation == "weights" and situation.use.trains_models_on_outputs)
                or (layer.relation == "data" and layer.license.scope == "service")
            )
            clause = next((c for c in layer.license.clauses if isinstance(c, OutputsClause)), None)
            if not teaches:
                if situation.trains and clause is not None and not layer.license.permissive:
                    yield reason(self, layer, clause, f"{clause.text}; it says nothing on what goes in")
                continue
            found: list[RuleFinding] = []
            if clause is not None:
                found += self._judge(clause, layer, situation)
            elif not layer.license.permissive:
                found.append(self._plain(layer, f"{layer.license.name} is silent on training with outputs"))
            yield from found
            if any(isinstance(one, RulingReason) and one.outcome is not None for one in found):
                yield from _ways_out(clause, layer, situation)

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
            yield Contingency("examples that people answered")
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


_NOT_SETTLED = "it is an open question whether that reaches answers that are only shown as examples"

_STUDENTS = {
    "classifier": "a classifier",
    "assistant": "a general or competing assistant",
    "unknown": "a model of which you have not said whether it competes with the teacher's maker",
}


def _ways_out(
    clause: OutputsClause | None, layer: LicenseLayer, situation: Situation
) -> Iterator[Contingency]:
    """What would decide whether a model may learn from these outputs."""
    if clause is not None and situation.student_kind == "unknown":
        if clause.classifier in ("free", "undistributed") and not clause.llm_only:
            yield Contingency(
                'a model that only classifies, neither sold nor passed on ([use] purpose = "classifier")'
            )
        if clause.assistant == "not_allowed" and situation.use.competes_with_licensor is None:
            yield Contingency(
                f"no competition with {layer.license.licensor} ([use] competes_with_licensor = false)"
            )
    yield Contingency("right answers that people gave")
    yield Contingency("an open model as the teacher (Apache-2.0, MIT)")
    if clause is not None and layer.license.scope == "service":
        yield Contingency("examples that people answered, instead of training")


def _base_is_llm(situation: Situation) -> bool:
    return any(not base.only_classifies for base in situation.bases)


class Profile:
    """Contradictions never decide silently: what was assumed is reported."""

    code = "L302"
    title = "Profile contradicts itself"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        use = situation.use
        if situation.mode_assumed:
            yield Assumption(
                "how it is used is not stated: internal use is assumed, where neither answers of a service nor "
                "weights reach others"
            )
        revenue = use.annual_revenue_usd or use.monthly_revenue_usd or use.annual_recurring_revenue_usd
        if use.commercial is False and revenue and not use.nonprofit:
            yield Assumption("the use is non-commercial although revenue is stated: it earns none of it")
        if use.commercial and use.mode == "personal":
            yield Assumption("the use is commercial although its mode is personal: commercial counts")
        if use.commercial and use.nonprofit:
            yield Assumption("a non-profit with a commercial use counts as commercial")
        if use.mode == "internal" and (use.serves_third_parties or use.distributes_weights):
            yield Assumption("mode says internal, but third parties are served: the wider reading counts")
        if use.then is not None and situation.mode != "train_other_model":
            yield Assumption(f"'then' is {use.then}, but no model is trained: it is not read")
        if situation.mode == "train_other_model" and use.then is None:
            yield Assumption("the trained model stays inside (then is not stated)")


class Notes:
    """Where a release's licence is stated, and clauses a careful reader would want pointed out."""

    code = "L301"
    title = "Worth knowing"

    def check(self, situation: Situation) -> Iterator[RuleFinding]:
        for ancestor in situation.ancestors:
            release = ancestor.release
            if release is not None:
                yield RulingReason(
                    code=self.code,
                    license_id=release.license,
                    section=release.section,
                    text=f"{ancestor.edge.model} is released under {release.license}",
                    confidence=release.confidence,
                    model=ancestor.edge.model,
                    source=release.source,
                )
        for layer, clause in situation.clauses(NoteClause):
            if clause.events is None or situation.events & set(clause.events):
                yield reason(self, layer, clause, clause.text)
