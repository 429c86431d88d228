"""`freehold publishers`: who gives weights away, and what relying on them means."""

from __future__ import annotations

from freehold.catalog import publishers as catalog
from freehold.catalog.publishers import Publisher
from freehold.errors import UsageError, did_you_mean


def show(name: str | None = None) -> list[Publisher]:
    """All publishers, or the one of that name or hub owner. Raises `UsageError` when there is none."""
    found = catalog.publishers()
    if name is None:
        return found
    lowered = name.lower()
    chosen = [one for one in found if lowered in (one.name.lower(), *(owner.lower() for owner in one.owners))]
    if not chosen:
        names = [one.name for one in found]
        raise UsageError(
            f"no publisher {name} in the catalog",
            hint=did_you_mean(name, names, f"known: {', '.join(names)}"),
        )
    return chosen
