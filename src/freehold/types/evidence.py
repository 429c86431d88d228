"""What a verdict was measured with, and how old each of its gates is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from freehold.types.record import Record

EvidencePart = Literal["data", "task", "judge", "adapter", "prompt", "engine", "catalog"]
"""What evidence rests on. `task` is the scorer with its options and the margin, `judge` the model that scores,
`adapter` the weights with what was trained on them, `prompt` what is done to requests before the candidate is asked,
`catalog` the facts that its ruling was made from."""

EvidenceGate = Literal["quality", "license", "parity", "fit"]


class EvidenceBasis(Record, frozen=True, kw_only=True):
    """What the parts were: each a hash, id or version. A part that did not apply, or is not known, is absent."""

    parts: dict[EvidencePart, str]


class EvidenceAge(Record, frozen=True, kw_only=True):
    """One gate of a verdict: when it was measured, and why it no longer holds.

    `made_at` and `days` are None where the time was not kept. `stale` is empty while it holds; `renew` is the command
    that measures it again.
    """

    gate: EvidenceGate
    text: str
    """What was measured, in words."""
    record_id: str
    made_at: datetime | None
    days: int | None
    max_age_days: float
    stale: tuple[str, ...]
    renew: str
