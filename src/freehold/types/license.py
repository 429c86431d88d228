"""Licences, use profiles, lineage, rulings."""

from __future__ import annotations

from typing import Any, Literal

from freehold.types.record import Record

RulingOutcome = Literal[
    "allowed", "allowed_with_obligations", "not_allowed", "needs_separate_license", "unclear"
]
EdgeKind = Literal[
    "base", "fine_tune", "adapter", "merge", "quantize", "distilled_from", "trained_on", "surgery"
]


class UseProfile(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who uses the model and for what: the `[use]` table. None means unknown, which is a value of its own."""

    mode: str = "internal"
    commercial: bool | None = None
    monthly_active_users: int | None = None
    annual_revenue_usd: int | None = None
    seat: str | None = None
    regions: tuple[str, ...] = ()
    distributes_weights: bool = False
    serves_third_parties: bool = False
    trains_models_on_outputs: bool = False


class LineageEdge(Record, frozen=True, kw_only=True):
    """One ancestor and how it got in. `license_id` overrides the catalog (a declared licence)."""

    kind: EdgeKind
    model: str
    license_id: str | None = None
    note: str | None = None


class Lineage(Record, frozen=True, kw_only=True):
    """What a model is made of, oldest first."""

    model: str
    edges: tuple[LineageEdge, ...]


class RulingReason(Record, frozen=True, kw_only=True):
    """Why: the rule that fired, the licence and the section it rests on, and how sure that reading is."""

    code: str
    license_id: str
    section: str
    text: str
    confidence: str
    model: str | None = None


class Obligation(Record, frozen=True, kw_only=True):
    """Something that must be done. `value` is the exact phrase or name where the licence prescribes one."""

    key: str
    license_id: str
    section: str
    text: str
    value: str | None = None


class Ruling(Record, frozen=True, kw_only=True):
    """May I use this model for this, and what must I do? Facts and readings, not legal advice."""

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
