"""What was seen on a hub and is not in the shipped catalog: the user's own catalog folder.

::

    <home>/catalog/
      <org>--<name>.json        one repository as it was when it was read

Each record says where it was read and when. The shipped catalog is never changed, and its rows are used where both
have one: see `Shadow`.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec

from freehold import files
from freehold.catalog import licenses, models
from freehold.errors import StorageError
from freehold.types.model import Model, Shape
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
    """Every record, by id. Raises `StorageError` for one that cannot be read, or whose sizes contradict each other."""
    found = []
    for file in sorted(folder(home).glob("*.json")):
        try:
            record = msgspec.json.decode(file.read_bytes(), type=SyncedModel)
        except (OSError, msgspec.DecodeError) as error:
            raise _unreadable(file, str(error)) from None
        if record.shape is not None and (contradiction := _contradiction(record.shape)) is not None:
            raise _unreadable(file, contradiction)
        found.append(record)
    return found


def _unreadable(file: Path, why: str) -> StorageError:
    return StorageError(
        f"catalog record {file} cannot be read: {why}", hint="delete it: freehold catalog sync reads it again"
    )


def _contradiction(shape: Shape) -> str | None:
    """What in a shape cannot be true of any model, so that nothing could be counted by it; None where nothing is."""
    sizes = {name: getattr(shape, name) for name in ("layers", "hidden", "vocabulary", "context_tokens")}
    if (empty := next((name for name, size in sizes.items() if size < 1), None)) is not None:
        return f"{empty} is {sizes[empty]}"
    by_layer = {"attention": len(shape.attention)}
    if shape.kv_heads_by_layer:
        by_layer["kv_heads_by_layer"] = len(shape.kv_heads_by_layer)
    for name, count in by_layer.items():
        if count != shape.layers:
            return f"it has {shape.layers} layers, and {name} names {count}"
    parts = {"latent": shape.latent, "compressed": shape.compressed, "recurrent": shape.recurrent}
    for kind, part in parts.items():
        if kind in shape.attention and part is None:
            return f"it has {kind} layers and not their sizes ({kind})"
    return None


def find(home: Path, model_id: str) -> SyncedModel | None:
    """A record by id or by the part after the slash, whatever the case; None when there is none."""
    wanted = model_id.lower()
    for one in all_synced(home):
        if wanted in (one.id.lower(), one.id.lower().rpartition("/")[2]):
            return one
    return None


class Shadow(Record, frozen=True, kw_only=True):
    """A record of the user's for a model that the shipped catalog has. The shipped row is used; `differs` says in what
    the record differs from it, each as ``layers 4, not 2``."""

    id: str
    source: str
    fetched: date
    differs: tuple[str, ...]

    def said(self) -> str:
        """One sentence about it."""
        what = f"it says {', '.join(self.differs)}" if self.differs else "it says the same"
        return f"your own record of it (read {self.fetched}, {self.source}) is not used, the shipped row is: {what}"


def shadows(home: Path) -> tuple[Shadow, ...]:
    """Records that stand in the shadow of a shipped row, by id."""
    found = []
    for own in all_synced(home):
        shipped = models.find(own.id)
        if shipped is not None:
            found.append(
                Shadow(id=own.id, source=own.source, fetched=own.fetched, differs=_differs(own, shipped))
            )
    return tuple(found)


def shadow_of(home: Path, model: Model) -> Shadow | None:
    """The record that a shipped row overrules; None when there is none."""
    names = {model.id.lower(), *(name.lower() for name in model.aliases)}
    return next((one for one in shadows(home) if one.id.lower() in names), None)


def _differs(own: SyncedModel, shipped: Model) -> tuple[str, ...]:
    """What a record says otherwise: sizes, and a licence that the catalog knows under another name."""
    found = []
    if own.shape is not None:
        for name in (field.name for field in msgspec.structs.fields(Shape) if field.name != "architecture"):
            said, known = getattr(own.shape, name), getattr(shipped.shape, name)
            if said != known:
                plain = isinstance(said, int | float | str) and isinstance(known, int | float | str)
                found.append(f"{name} {said}, not {known}" if plain else f"other {name}")
    carried = {one.license.lower() for one in licenses.releases_of(own.id)}
    known_licenses = {one.lower() for one in licenses.licenses()}
    if own.license and carried and own.license.lower() in known_licenses - carried:
        found.append(f"licence {own.license}")
    return tuple(found)


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
