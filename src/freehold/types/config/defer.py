"""`[defer]`: a mixture of candidate and incumbent, when it is worth it and where it may not go."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from freehold.types.config.table import Share, Table


class DeferConfig(Table, frozen=True, kw_only=True):
    """`[defer]`: what a candidate answers that is sure of some requests, while the incumbent answers the rest.

    Requests are declared by what they carry, all of it at once: fields of their metadata, `header:NAME`, or `key` (the
    name of an API key).
    """

    least_share: Annotated[float, Meta(gt=0, le=1, description="above 0, up to 1 (0.2 is a fifth)")] = 0.2
    """Smallest share answered here that is worth it, the first that is tested; 1 plans no mixture."""
    upper: str | None = None
    """A larger model of your own that answers what the candidate is not sure of, in the incumbent's place: one of
    `[[endpoints]]` (`NAME`, or `NAME/MODEL`), or one of `[[candidates]]` that runs behind one, by its name or model.
    The loss stays measured against the incumbent."""
    always_incumbent: tuple[dict[str, str], ...] = ()
    """Requests that the candidate never answers: `[{ language = "ja" }, { tier = "gold", kind = "legal" }]`."""
    never_defer_out: tuple[dict[str, str], ...] = ()
    """Requests that never leave the house: the candidate answers them, sure or not."""
    recheck_share: Share = 0.02
    """Share of the candidate's sure answers that the incumbent is asked again, to watch over the mixture."""
    recheck_usd_per_month: Decimal = Decimal(10)
    """Most that this may cost in a calendar month."""
