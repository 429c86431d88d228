"""Licences as typed clauses, paraphrased; where a model comes from, and whether it may be used."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from freehold.types.record import Record, StoredRecord, content_id
from freehold.types.use import Mode

Confidence = Literal["text", "readme", "quoted", "secondary"]
"""How well a fact is backed: full text read, the licensor's own pages, clause seen quoted, reported only."""

Outcome = Literal["not_allowed", "needs_separate_license", "unclear"]
Event = Literal["copies", "embedded", "hosting", "outputs"]
"""What reaches third parties: weights, a product with weights in it, answers of a service, results."""

Purpose = Literal[
    "commercial", "non_commercial", "research", "personal", "evaluation", "proof_of_concept", "education"
]
Metric = Literal[
    "mau_group", "mau_licensee", "mau_product", "annual_revenue", "group_revenue", "monthly_revenue",
    "employer_monthly_revenue", "annual_recurring_revenue", "dau",
]  # fmt: skip


StudentFate = Literal["free", "undistributed", "unclear", "not_allowed", "needs_separate_license"]


class _Clause(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    omit_defaults=True,
):
    """A clause: where it stands and what it says, paraphrased."""

    section: str
    text: str
    confidence: Confidence | None = None
    source: str | None = None


class PurposeClause(_Clause, frozen=True, kw_only=True, tag="purpose"):
    """Only these purposes are granted; anything else has `otherwise` as its outcome.

    `unclear` lists purposes on which the text is ambiguous. `modes_excluded` are modes barred even for a
    granted purpose (an employee's daily work, free supply to others).
    """

    granted: tuple[Purpose, ...]
    otherwise: Outcome
    unclear: tuple[Purpose, ...] = ()
    modes_excluded: tuple[Mode, ...] = ()


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A line: `above` is a number of users or US dollars; the number itself is inside unless `at` says so.

    `frozen_at` is the date (ISO) at whose preceding month the figure is read; None means today's figure.
    """

    metric: Metric
    above: int
    at: Literal["inside", "outside", "unclear"] = "inside"
    frozen_at: str | None = None


class ThresholdClause(_Clause, frozen=True, kw_only=True, tag="threshold"):
    """Over any of the limits the grant ends with `otherwise`."""

    any_of: tuple[Limit, ...]
    otherwise: Outcome = "needs_separate_license"
    commercial_only: bool = False
    nonprofit_research_exempt: bool = False
    modes_exempt: tuple[Mode, ...] = ("end_user_of_product",)


class RegionClause(_Clause, frozen=True, kw_only=True, tag="region"):
    """The grant does not reach these regions, judged by the seat of the licensee or the place of use."""

    excluded: tuple[str, ...]
    whom: Literal["licensee_seat", "place_of_use"]
    otherwise: Outcome = "not_allowed"
    multimodal_only: bool = False
    modes_exempt: tuple[Mode, ...] = ()


class BusinessClause(_Clause, frozen=True, kw_only=True, tag="business"):
    """A gate on kinds of business.

    `gated` and `free` are product or business types (``*`` is any); one in neither passes on a named
    assumption, and a hosted service whose type is not stated comes out as `type_unknown` (``assume``: it
    passes too). `over` makes the gate bite only above a limit. `duty` turns the gate into an obligation
    instead of an outcome.
    """

    gated: tuple[str, ...]
    free: tuple[str, ...] = ()
    events: tuple[Event, ...] = ("hosting",)
    over: tuple[Limit, ...] = ()
    otherwise: Outcome = "needs_separate_license"
    duty: str | None = None
    commercial_only: bool = False
    any_mode: bool = False
    type_unknown: Literal["assume", "unclear", "needs_separate_license"] = "unclear"
    counts_affiliates: bool = False


class DutyClause(_Clause, frozen=True, kw_only=True, tag="duty"):
    """Something to do when one of `events` happens.

    `modified` None is always, True only for changed weights, False only for unchanged ones. `students`
    says that the duty also binds models trained on outputs. `over` makes it due only above a limit,
    `commercial_known` only for a use known to be commercial. `is_notice` says that the licence copy is itself
    a notice that stripping notices removes. ``{model}`` in `value` is the model's name.
    """

    key: str
    events: tuple[Event, ...]
    value: str | None = None
    alternatives: tuple[str, ...] = ()
    modified: bool | None = None
    named_changes_only: bool = False
    weights: bool = True
    students: bool = False
    adapters: Literal["due", "recommended"] = "due"
    over: tuple[Limit, ...] = ()
    commercial_only: bool = False
    announcement_only: bool = False
    unless_registered: bool = False
    commercial_known: bool = False
    any_mode: bool = False
    recommended: bool = False
    passive: bool = False
    is_notice: bool = False


class OutputsClause(_Clause, frozen=True, kw_only=True, tag="outputs"):
    """What may be trained on outputs.

    `student` is whether a model trained on outputs is a derivative that inherits every duty: never, when
    it is meant to perform similarly, or always. `classifier`, `assistant` and `other` say how each kind of
    student fares: ``undistributed`` is free as long as the student is neither passed on nor sold. With
    `llm_only` a classifier counts as one only if its base is not a language model. `except_licenses` names
    licences whose own derivatives may always be improved.
    """

    student: Literal["no", "similar", "always"] = "no"
    classifier: StudentFate = "free"
    assistant: StudentFate = "free"
    other: StudentFate = "free"
    llm_only: bool = False
    except_licenses: tuple[str, ...] = ()


class DomainClause(_Clause, frozen=True, kw_only=True, tag="domain"):
    """Fields of use that are barred; `reviewed_ok` lifts the bar where a person decides."""

    barred: tuple[str, ...]
    reviewed_ok: bool = False
    unclear: bool = False


class ModificationClause(_Clause, frozen=True, kw_only=True, tag="modification"):
    """Changes that may not be made, such as removing safeguards."""

    barred: tuple[str, ...]
    otherwise: Outcome = "not_allowed"


class RelicenseClause(_Clause, frozen=True, kw_only=True, tag="relicense"):
    """Whether a derivative may be published under another licence."""

    may_relicense: bool


class TerminationClause(_Clause, frozen=True, kw_only=True, tag="termination"):
    """What ends the grant: `litigation` is which suit: one over patents that ends the
    patent licence only (``patent``) or everything (``patent_all``), or ``any``."""

    litigation: Literal["patent", "patent_all", "any"] | None = None


class NoteClause(_Clause, frozen=True, kw_only=True, tag="note"):
    """A fact worth telling that decides nothing by itself; `events` None tells it always."""

    events: tuple[Event, ...] | None = None


Clause = (
    PurposeClause
    | ThresholdClause
    | RegionClause
    | BusinessClause
    | DutyClause
    | OutputsClause
    | DomainClause
    | ModificationClause
    | RelicenseClause
    | TerminationClause
    | NoteClause
)


class License(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A licence, or the terms of a service (`scope`), as typed clauses, paraphrased.

    `id` is the SPDX id where one exists, else a LicenseRef. `confidence` is the worst a reader should
    assume of a clause that says nothing itself. `names` are other ways people write it, `serves` how the
    model ids of a service begin. `notice` is the prescribed sentence of a Notice file. `restrictions` are all use
    restrictions of an annex that has to be passed on, paraphrased in its order; empty where the annex was not read.
    """

    id: str
    name: str
    licensor: str
    date: str
    source: str
    confidence: Confidence
    clauses: tuple[Clause, ...] = ()
    version: str | None = None
    scope: Literal["weights", "service", "data"] = "weights"
    family: str | None = None
    names: tuple[str, ...] = ()
    permissive: bool = False
    notice: str | None = None
    serves: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One or more releases under a licence.

    `models` are exact hub ids: a name that is merely like one has no known licence. `source` is where the licence
    of these very releases is stated and `checked` the day that was read (ISO). `bases` are ancestors a release is
    known to stand on. `copyright` is the copyright line of its licence file. `until`/`since` bound the date a copy
    was obtained where the licence changed; `released_since` marks an entry that counts for a later release under
    the same id.
    """

    models: tuple[str, ...]
    license: str
    confidence: Confidence
    source: str
    checked: str | None = None
    copyright: str | None = None
    bases: tuple[str, ...] = ()
    kind: Literal["llm", "multimodal", "encoder", "image", "audio", "data"] = "llm"
    also: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    released_since: str | None = None
    section: str = "release"
    note: str | None = None


class ReleaseFamily(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What releases of a family usually carry, for hub ids that match a pattern (``*`` stands for any letters).

    It is told and never decides: within one family, and within one week, licences differ.
    """

    patterns: tuple[str, ...]
    license: str
    source: str
    note: str | None = None


RulingOutcome = Literal[
    "allowed", "allowed_with_obligations", "not_allowed", "needs_separate_license", "unclear"
]
BARRED: frozenset[RulingOutcome] = frozenset({"not_allowed", "needs_separate_license"})
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
    open_lines: tuple[str, ...] = ()
    """Of these, what would forbid it and is not ruled out by what is stated of the use."""
    assumptions: tuple[str, ...] = ()
    learning: str | None = None
    """Where a project asks: whether answers of its rented model may be learned, and what would decide it."""
    licenses: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    version: str = ""
    details: dict[str, Any] = {}

    @property
    def ways_out(self) -> tuple[str, ...]:
        """What would change it for the better, where it is unclear or forbidden."""
        return tuple(way for way in self.would_change if way not in self.open_lines)

    def summary(self) -> str:
        """What came out, and how many duties there are."""
        duties = f"{len(self.obligations)} {'duty' if len(self.obligations) == 1 else 'duties'}"
        return f"{self.model}: {self.outcome.replace('_', ' ')}, {duties}"


WOULD_DECIDE = ". What would decide it: "
"""In a sentence about learning, between what is ruled and the ways out."""


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
