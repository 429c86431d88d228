"""How traces become a dataset: what decides its content besides the traces themselves."""

from __future__ import annotations

from freehold.types.record import Record


class Recipe(Record, frozen=True, kw_only=True):
    """How samples are split and curated.

    `group_by` names a trace field, a metadata key, or a period (`hour`, `day`, `week`, `month`); None: conversation,
    else request. `personal_data` says how it was replaced (`off`, `patterns`, `library`, `library with names`).
    """

    held_out: float = 0.2
    validation: float = 0.05
    seed: int = 0
    group_by: str | None = None
    limit: int | None = None
    held_out_limit: int | None = None
    personal_data: str = "off"
    secrets: bool = False
    near_duplicates: float = 0.0
