"""`freehold publishers`: who gives weights away, and what relying on them means."""

from __future__ import annotations

import difflib

from freehold.catalog import publishers as catalog
from freehold.catalog.publishers import Publisher
from freehold.errors import UsageError


def show(name: str | None = None) -> list[Publisher]:
    """All publishers, or the one of that name or hub owner. Raises `UsageError` when there is none."""
    found = catalog.publishers()
    if name is None:
        return found
    wanted = name.lower()
    chosen = [one for one in found if wanted in (one.name.lower(), *(owner.lower() for owner in one.owners))]
    if not chosen:
        near = difflib.get_close_matches(name, [one.name for one in found], n=1)
        raise UsageError(
            f"no publisher {name} in the catalog",
            hint=f"did you mean {near[0]}?" if near else f"known: {', '.join(one.name for one in found)}",
        )
    return chosen
