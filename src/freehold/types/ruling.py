"""Where a model comes from, and whether it may be used: lineage and ruling."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from freehold.types.record import Record, StoredRecord, content_id

RulingOutcome = Literal[
    "allowed", "allowed_with_obligations", "not_allowed", "needs_separate_license", "unclear"
]
EdgeKind = Literal[
    "base",
    "fine_tune",
    "adapter",
    "merge",
    "quantize",
    "distilled_from",
    "trained_on",
    "surgery",
    "prompted_with",
]
"""`prompted_with`: its answers stand in what the model is asked with, and no weights learn from them."""


OWN_MARK = "(ours)"
"""What the `model` of the user's own artefact begins with, in lineage files too."""


class LineageEdge(Record, frozen=True, kw_only=True):
    """One ancestor and how it got in.

    `license_id` names the licence where the catalog does not know the model (a declared licence);
    `claimed_license` is the tag the artefact is published under: it never lifts a duty of an ancestor.
    """

    kind: EdgeKind
    model: str
    license_id: str | None = None
    claimed_license: str | None = None
    note: str | None = None


class Lineage(Record, frozen=True, kw_only=True):
    """What a model is made of, oldest first."""

    model: str
    edges: tuple[LineageEdge, ...]


class RulingReason(Record, frozen=True, kw_only=True):
    """Why: the rule that fired, the licence and the section it rests on, and how sure that reading is.

    `outcome` is what this reason alone would lead to; None for a reason that only explains.
    """

    code: str
    license_id: str
    section: str
    text: str
    confidence: str
    model: str | None = None
    outcome: RulingOutcome | None = None
    source: str = ""


class Obligation(Record, frozen=True, kw_only=True):
    """Something that must be done. `value` is the exact phrase or name where the licence prescribes one.

    `recommended` marks what the text does not demand but what prudence does; `passive` is a policy to stay
    within rather than an act. Neither turns ``allowed`` into ``allowed_with_obligations``.
    """

    key: str
    license_id: str
    section: str
    text: str
    value: str | None = None
    model: str | None = None
    recommended: bool = False
    passive: bool = False


class Ruling(StoredRecord, frozen=True, kw_only=True):
    """May I use this model for this, and what must I do? Facts and readings, not legal advice.

    `obligations` are all duties of the lineage, also where the outcome blocks the use: they would be due
    once permission is there. `violations` name what the described use breaks and could mend.
    """

    kind: ClassVar[str] = "ruling"

    id: str
    model: str
    outcome: RulingOutcome
    reasons: tuple[RulingReason, ...]
    obligations: tuple[Obligation, ...] = ()
    violations: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    version: str = ""
    details: dict[str, Any] = {}


class DutyMark(StoredRecord, frozen=True, kw_only=True):
    """What was said last of one duty of a model: that it is done, or (`done` False) that it is not after all.

    `id` is of the model and the whole duty, so that one whose words, phrase or section change is open again.
    """

    kind: ClassVar[str] = "duty_mark"

    id: str
    model: str
    obligation: Obligation
    done: bool
    who: str
    at: datetime


def duty_id(model: str, obligation: Obligation) -> str:
    """By which a duty of a model is known."""
    return content_id([model, obligation])
