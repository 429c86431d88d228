"""`freehold weights prune`: make room, least recently used first, never what is pinned or in use."""

from __future__ import annotations

from pathlib import Path

from freehold.engines.weights.store import StoredWeights
from freehold.engines.weights.use import users
from freehold.errors import UsageError
from freehold.settings import Settings
from freehold.types.record import Record
from freehold.types.units import GIB
from freehold.workflows.weights.pull import open_store, show_weights


class PruneResult(Record, frozen=True, kw_only=True):
    """What prune removed (or would) and what it left: `kept` says why for each that might have gone."""

    removed: tuple[str, ...]
    freed_bytes: int
    kept: dict[str, str]
    taken_bytes: int
    """What is left afterwards."""


def prune(settings: Settings, *, to_gib: float | None = None, dry_run: bool = False) -> PruneResult:
    """Remove fetched and converted weights until they take `to_gib` (default: ``FREEHOLD_WEIGHTS_GIB``).

    Files read in place are never touched. Raises `UsageError` without a size, `StorageError`.
    """
    limit = to_gib if to_gib is not None else settings.weights_gib
    if limit is None or limit < 0:
        raise UsageError(
            "how much may stay is not said",
            hint="freehold weights prune --to 20, or set FREEHOLD_WEIGHTS_GIB",
        )
    store = open_store(settings)
    with store.writing():
        owned = sorted((stored for stored in store.list() if stored.owned), key=store.used_at)
        taken = sum(stored.size for stored in owned)
        removed, freed, kept = [], 0, {}
        for stored in owned:
            if taken - freed <= limit * GIB:
                break
            name = label(stored)
            if stored.pinned:
                kept[name] = "pinned"
            elif ids := users(Path(stored.weights.path or "")):
                kept[name] = f"in use by process {ids[0]}"
            else:
                freed += stored.size if dry_run else store.remove(stored)
                removed.append(name)
    return PruneResult(removed=tuple(removed), freed_bytes=freed, kept=kept, taken_bytes=taken - freed)


def pin(
    model_id: str, settings: Settings, *, quantization: str | None = None, pinned: bool = True
) -> StoredWeights:
    """Keep a model's weights from being pruned, or no longer. Raises `UnknownModelError`."""
    return open_store(settings).pin(show_weights(model_id, settings, quantization=quantization), pinned)


def label(stored: StoredWeights) -> str:
    """A model and its quantization, as people name them."""
    return f"{stored.weights.model_id} {stored.weights.quantization}"
