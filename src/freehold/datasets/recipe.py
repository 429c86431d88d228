"""How traces become a dataset: what decides its content beside the traces themselves."""

from __future__ import annotations

from freehold.types.record import Record


class Recipe(Record, frozen=True, kw_only=True):
    """How samples are split. `group_by` names a trace field or a metadata key; None: conversation, else request."""

    held_out: float = 0.2
    validation: float = 0.05
    seed: int = 0
    group_by: str | None = None
    limit: int | None = None
    held_out_limit: int | None = None
