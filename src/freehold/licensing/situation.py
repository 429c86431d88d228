"""What a ruling is made from: the use in plain facts, and each ancestor with its licence.

Covered: which events follow from a mode, whether weights are changed, what a student is for.
Not covered: free text, which is never interpreted beyond known words.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, TypeVar

import msgspec

from freehold.licensing.figures import Reading
from freehold.types.encoder import WORDS_MODEL
from freehold.types.license import (
    Clause,
    EdgeKind,
    Event,
    License,
    Lineage,
    LineageEdge,
    Obligation,
    OutputsClause,
    Purpose,
    Release,
    RulingOutcome,
    RulingReason,
)
from freehold.types.use import Mode, UseProfile

Relation = Literal["weights", "teacher", "data", "shown"]
C = TypeVar("C", bound=Clause)

_EVENTS: dict[str, frozenset[Event]] = {
    "hosted_service": frozenset({"hosting"}),
    "embedded_product": frozenset({"copies", "embedded"}),
    "distribute_weights": frozenset({"copies"}),
    "outputs_in_product": frozenset({"outputs"}),
}
_CHANGES: frozenset[EdgeKind] = frozenset({"fine_tune", "adapter", "merge", "quantize", "surgery"})
_FULL_WEIGHTS: frozenset[EdgeKind] = frozenset({"fine_tune", "merge", "quantize", "surgery"})

CLASSIFIER_WORDS = ("classif", "embedding", "label", "categor", "routing", "intent", "moderation", "retriev")
COMPETING_WORDS = (
    "chat assistant",
    "general assistant",
    "general purpose",
    "general chat",
    "competing",
    "foundation",
    "chatbot",
    "frontier",
)
_PURPOSES: tuple[tuple[str, Purpose], ...] = (
    ("proof_of_concept", "proof_of_concept"),
    ("proof of concept", "proof_of_concept"),
    ("poc", "proof_of_concept"),
    ("evaluat", "evaluation"),
    ("testing", "evaluation"),
    ("benchmark", "evaluation"),
    ("educat", "education"),
    ("teaching", "education"),
    ("research", "research"),
    ("academic", "research"),
)


NOT_LICENSEES: frozenset[Mode] = frozenset({"end_user_of_product", "receive_integrated_end_user_product"})
"""Modes of people who use another company's product and exercise no right of their own."""


class Ancestor(NamedTuple):
    """What the catalog knows about one ancestor. No licences and not `own` means unknown."""

    edge: LineageEdge
    licenses: tuple[License, ...]
    release: Release | None
    own: bool
    """The user's own artefact, which has no licence of another party."""
    note: str | None = None
    confidence: str = "text"

    @property
    def only_classifies(self) -> bool:
        """An encoder, or heads over words: whatever is trained on it writes nothing."""
        return self.edge.model == WORDS_MODEL or (self.release is not None and self.release.kind == "encoder")


class LicenseLayer(NamedTuple):
    """One licence over one ancestor, and how that ancestor is in the artefact.

    `events` are the things that happen to what this licence covers; for a mere teacher (a student that is
    not a derivative) they are empty and `student_events` holds what happens to the student. Where answers are only
    shown to the model that is asked (`shown`) nothing is made of them, and both are empty.
    """

    ancestor: Ancestor
    license: License
    relation: Relation
    derivative: bool
    events: frozenset[Event]
    student_events: frozenset[Event]
    modified: bool

    @property
    def model(self) -> str:
        return self.ancestor.edge.model


class Situation:
    """A use and a resolved lineage, with what follows from them worked out once."""

    def __init__(self, use: UseProfile, lineage: Lineage, ancestors: tuple[Ancestor, ...]) -> None:
        self.use = use
        self.lineage = lineage
        self.ancestors = ancestors

    @cached_property
    def mode(self) -> Mode:
        """The mode stated, or the widest one that the booleans of `[use]` imply."""
        if self.use.mode is not None:
            return self.use.mode
        if self.use.distributes_weights:
            return "distribute_weights"
        if self.use.serves_third_parties:
            return "hosted_service"
        return "internal"

    @cached_property
    def mode_assumed(self) -> bool:
        """Nothing said how the model is used, so that `mode` is the narrowest one."""
        use = self.use
        stated = use.mode is not None or use.distributes_weights or use.serves_third_parties
        return not stated and not use.trains_models_on_outputs

    @cached_property
    def delivered(self) -> Mode:
        """The mode of the finished artefact: `then` where a model is trained."""
        if self.mode == "train_other_model":
            return self.use.then or "internal"
        return self.mode

    @cached_property
    def events(self) -> frozenset[Event]:
        events = set(_EVENTS.get(self.delivered, frozenset()))
        if self.delivered == "embedded_product" and _server_side(self.use.weights):
            events = {"hosting"}
        if self.use.distributes_weights:
            events.add("copies")
        if self.use.serves_third_parties:
            events.add("hosting")
        return frozenset(events)

    @cached_property
    def trains(self) -> bool:
        """Whether another party's outputs or data go into a model."""
        return (
            self.mode == "train_other_model"
            or self.use.trains_models_on_outputs
            or any(ancestor.edge.kind in ("distilled_from", "trained_on") for ancestor in self.ancestors)
        )

    @cached_property
    def bare_teacher(self) -> bool:
        """Mode says that another model is trained, but only the one model is named: it is the teacher."""
        return self.mode == "train_other_model" and all(
            ancestor.edge.kind == "base" for ancestor in self.ancestors
        )

    @cached_property
    def changed(self) -> bool:
        """Whether the weights differ from those that were received."""
        return (
            any(ancestor.edge.kind in _CHANGES for ancestor in self.ancestors)
            or any(ancestor.release is not None and ancestor.release.bases for ancestor in self.ancestors)
            or bool(self.use.modification)
            or (self.trains and not self.bare_teacher and not self.use.trains_models_on_outputs)
            or any(ancestor.edge.kind in ("distilled_from", "trained_on") for ancestor in self.ancestors)
        )

    @cached_property
    def changed_openly(self) -> bool:
        """Changed by a step the lineage names (not merely by having been a student's base)."""
        return any(ancestor.edge.kind in _CHANGES for ancestor in self.ancestors) or bool(
            self.use.modification
        )

    @cached_property
    def adapter_only(self) -> bool:
        """What is delivered is an adapter without the base weights."""
        if self.use.weights == "adapter_only":
            return True
        kinds = [ancestor.edge.kind for ancestor in self.ancestors]
        if "adapter" not in kinds or self.delivered != "distribute_weights" or self.use.weights is not None:
            return False
        return not any(kind in _FULL_WEIGHTS for kind in kinds[kinds.index("adapter") + 1 :])

    @property
    def bases(self) -> list[Ancestor]:
        """What training starts from."""
        return [one for one in self.ancestors if one.edge.kind == "base"]

    @cached_property
    def student_kind(self) -> Literal["classifier", "assistant", "unknown"]:
        """What the trained model is for, from `purpose` or from what it stands on."""
        purpose = (self.use.purpose or "").lower().replace("_", " ")
        if self.use.competes_with_licensor:
            return "assistant"
        if any(word in purpose for word in CLASSIFIER_WORDS):
            return "classifier"
        known = [one for one in self.bases if one.release is not None or one.only_classifies]
        if known and all(one.only_classifies for one in known):
            return "classifier"
        if any(word in purpose for word in COMPETING_WORDS):
            return "assistant"
        return "unknown"

    @cached_property
    def purposes(self) -> frozenset[Purpose]:
        """What the use is for, in the words licences use. Empty means unknown."""
        found: set[Purpose] = set()
        purpose = (self.use.purpose or "").lower()
        for word, kind in _PURPOSES:
            if word in purpose:
                found.add(kind)
                break
        if self.mode == "research":
            found.add("research")
        if self.use.commercial:
            found.add("commercial")
        elif self.mode == "personal":
            found.add("personal")
        elif self.use.commercial is False or (self.use.commercial is None and self.use.nonprofit):
            found.add("non_commercial")
        return frozenset(found)

    @cached_property
    def layers(self) -> tuple[LicenseLayer, ...]:
        return tuple(
            self._layer(ancestor, license) for ancestor in self.ancestors for license in ancestor.licenses
        )

    def clauses(self, kind: type[C]) -> Iterator[tuple[LicenseLayer, C]]:
        """The clauses of one kind, each with its layer, in the layers' order."""
        for layer in self.layers:
            for clause in layer.license.clauses:
                if isinstance(clause, kind):
                    yield layer, clause

    def _layer(self, ancestor: Ancestor, license: License) -> LicenseLayer:
        kind = ancestor.edge.kind
        relation: Relation = "weights"
        if kind == "trained_on":
            # A data set of an open model's answers is that model as a teacher.
            known_model = ancestor.release is not None and ancestor.release.kind != "data"
            relation = "teacher" if known_model else "data"
        elif kind == "distilled_from" or self.bare_teacher:
            relation = "teacher"
        elif kind == "prompted_with":
            return LicenseLayer(ancestor, license, "shown", False, frozenset(), frozenset(), False)
        if relation == "weights":
            return LicenseLayer(ancestor, license, relation, True, self.events, self.events, self.changed)
        derivative = relation == "teacher" and self._student_is_derivative(license)
        events = self.events if derivative else frozenset()
        return LicenseLayer(ancestor, license, relation, derivative, events, self.events, derivative)

    def _student_is_derivative(self, license: License) -> bool:
        rule = next((c.student for c in license.clauses if isinstance(c, OutputsClause)), "no")
        return rule == "always" or (rule == "similar" and self.student_kind != "classifier")

    def with_use(self, **changes: object) -> Situation:
        """The same lineage under a changed use."""
        return Situation(msgspec.structs.replace(self.use, **changes), self.lineage, self.ancestors)


def _server_side(weights: str | None) -> bool:
    return weights is not None and any(word in weights for word in ("server", "hosted", "cloud"))


class Violation(NamedTuple):
    """The described use breaks a duty and could mend it. `key` is the duty."""

    key: str
    text: str


class Assumption(NamedTuple):
    """Something the answer rests on that the profile does not say."""

    text: str


class Contingency(NamedTuple):
    """What would change the answer. `open`: it would forbid the use, and what is stated does not rule it out."""

    text: str
    open: bool = False


RuleFinding = RulingReason | Obligation | Violation | Assumption | Contingency


class LicenseRule(Protocol):
    """One rule. It sees the whole situation and yields what it finds; it never raises for a legal result."""

    code: str
    title: str

    def check(self, situation: Situation) -> Iterator[RuleFinding]: ...


def not_stated(layer: LicenseLayer, reading: Reading) -> str:
    """The assumption that a figure that was not stated is not above a licence's line."""
    said = "not stated" if reading.stands_in is None else f"not stated; {reading.stands_in}"
    return f"{layer.license.name}: not above {reading.line} ({said})"


def reason(
    rule: LicenseRule, layer: LicenseLayer, clause: Clause, text: str, outcome: RulingOutcome | None = None
) -> RulingReason:
    """A reason that rests on one clause of one layer.

    What is known from secondary sources counts as it stands, a bar as well as a permission: the ruling names it as
    an assumption with the place to check, and never turns a bar into less than a bar.
    """
    confidence = clause.confidence or layer.license.confidence
    return RulingReason(
        code=rule.code,
        license_id=layer.license.id,
        section=clause.section,
        text=text,
        confidence=confidence,
        model=layer.model,
        outcome=outcome,
        source=clause.source or layer.license.source,
    )
