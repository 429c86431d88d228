"""What a verdict was measured with, and how old each of its gates is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from freehold.types.record import Record

EvidencePart = Literal["data", "task", "judge", "adapter", "prompt", "engine", "catalog"]
"""What evidence rests on. `data` is the dataset, `task` the scorer with its options and the margin, `judge` the model
that scores, `adapter` the weights with what was trained on them, `prompt` what is done to requests before the candidate
is asked, `engine` the server with its version and options, `catalog` the facts that the ruling was made from."""

EvidenceGate = Literal["quality", "parity", "license"]

MAX_AGE_DAYS = 90.0
"""After how many days evidence is too old to move traffic by: vendors announce retirements 60 to 180 days ahead, and
traffic moves within a quarter (docs/decisions/007-evidence-ages.md)."""


class EvidenceBasis(Record, frozen=True, kw_only=True):
    """What a verdict was measured with. `parts` are hashes, ids or versions; one that did not apply is absent. `models`
    are those that the ruling looked up in the catalog. `made_at` says when each gate was measured."""

    parts: dict[EvidencePart, str]
    models: tuple[str, ...] = ()
    made_at: dict[EvidenceGate, datetime] = {}


class EvidenceAge(Record, frozen=True, kw_only=True):
    """One gate of a verdict: when it was measured, and why it no longer holds.

    `made_at` and `days` are None where the time was not kept, `max_age_days` where only a change makes it stale.
    `stale` is empty while it holds; `renew` is the command that measures it again.
    """

    gate: EvidenceGate
    record_id: str
    made_at: datetime | None
    days: int | None
    max_age_days: float | None
    stale: tuple[str, ...]
    renew: str
