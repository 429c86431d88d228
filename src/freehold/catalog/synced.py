"""What was seen on a hub and is not in the shipped catalog: the user's own catalog folder.

::

    <home>/catalog/
      <org>--<name>.json        one repository as it was when it was read

Each record says where it was read and when. The shipped catalog is never changed.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import StorageError
from freehold.types.model import Shape
from freehold.types.record import Record


class SeenQuantization(Record, frozen=True, kw_only=True):
    """GGUF files of one quantization in a repository; `files` has all parts of a split one."""

    repo: str
    quantization: str
    bytes: int
    files: tuple[str, ...]


class SyncedModel(Record, frozen=True, kw_only=True):
    """One repository of a hub. `shape` is None where no config.json could be read; `notes` say what is only
    bounded. `made_from` are relation and model as the card declares them: a claim, not a finding."""

    id: str
    commit: str
    publisher: str | None
    license: str | None
    gated: bool
    source: str
    fetched: date
    released: date | None = None
    parameters: int | None = None
    """As the hub counts its safetensors."""
    shape: Shape | None = None
    made_from: tuple[tuple[str, str], ...] = ()
    quantizations: tuple[SeenQuantization, ...] = ()
    notes: tuple[str, ...] = ()


def folder(home: Path) -> Path:
    """Where records lie."""
    return home / "catalog"


def all_synced(home: Path) -> list[SyncedModel]:
    """Every record, by id. Raises `StorageError` for one that cannot be read."""
    found = []
    for file in sorted(folder(home).glob("*.json")):
        try:
            found.append(msgspec.json.decode(file.read_bytes(), type=SyncedModel))
        except (OSError, msgspec.DecodeError) as error:
            raise StorageError(
                f"catalog record {file} cannot be read: {error}",
                hint="delete it: freehold catalog sync reads it again",
            ) from None
    return found


def find(home: Path, model_id: str) -> SyncedModel | None:
    """A record by id or by the part after the slash, whatever the case; None when there is none."""
    wanted = model_id.lower()
    for one in all_synced(home):
        if wanted in (one.id.lower(), one.id.lower().rpartition("/")[2]):
            return one
    return None


def keep(home: Path, model: SyncedModel) -> None:
    """Write one record, whole or not at all."""
    target = folder(home) / f"{model.id.replace('/', '--')}.json"
    with files.writing(str(target), hint="set FREEHOLD_HOME to a folder you may write to"):
        files.write_json(target, model)


class CatalogChange(Record, frozen=True, kw_only=True):
    """What differs from what was known: ``new`` model, ``quantizations`` added, ``license`` or ``shape`` changed."""

    model: str
    kind: str
    before: str
    after: str


def differences(before: SyncedModel | None, after: SyncedModel) -> tuple[CatalogChange, ...]:
    """What one reading tells that the last did not."""
    if before is None:
        return (
            CatalogChange(model=after.id, kind="new", before="", after=after.license or "no licence stated"),
        )
    found = []
    if before.license != after.license:
        found.append(
            CatalogChange(
                model=after.id,
                kind="license",
                before=before.license or "none stated",
                after=after.license or "none stated",
            )
        )
    if before.shape != after.shape:
        found.append(CatalogChange(model=after.id, kind="shape", before=_size(before), after=_size(after)))
    had = {one.quantization: one.bytes for one in before.quantizations}
    has = {one.quantization: one.bytes for one in after.quantizations}
    added = sorted(name for name in has if has[name] != had.get(name))
    lost = sorted(name for name in had if name not in has)
    if added or lost:
        found.append(
            CatalogChange(
                model=after.id, kind="quantizations", before=", ".join(lost), after=", ".join(added)
            )
        )
    return tuple(found)


def _size(model: SyncedModel) -> str:
    if model.shape is None:
        return "no config"
    return f"{model.shape.layers} layers of {model.shape.hidden}, {model.shape.context_tokens:,} tokens"
