"""`freehold catalog`: what the shipped catalog knows, and what is new on a hub."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

from freehold.catalog import hub, synced, vendors
from freehold.catalog import models as catalog
from freehold.catalog.models import PublishedScore, scores_of
from freehold.catalog.synced import CatalogChange, SeenQuantization, SyncedModel
from freehold.catalog.weights import PublishedQuantization, published_files
from freehold.errors import InputError, UnknownModelError, UsageError
from freehold.hardware.hf_config import shape_from_config
from freehold.hardware.quantization import BASE_TYPES, LARGE_HEADS, OTHER_NAMES, known
from freehold.hardware.tensors import parameter_count
from freehold.progress import Progress, Silent
from freehold.settings import Settings
from freehold.types.model import Model
from freehold.types.record import Record

NEWEST = 20
"""Repositories looked at per owner, newest first."""
REPACKERS = 5
"""Repositories of quantized files looked at per model, most fetched first."""
CLOSE = 0.01
"""Parameters counted from a config may differ by this share from the hub's count before it is said."""

_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])("
    + "|".join(sorted((*BASE_TYPES, *LARGE_HEADS, *OTHER_NAMES), key=len, reverse=True))
    + r")(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
_PART = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)")


class SyncResult(Record, frozen=True, kw_only=True):
    """What one sync found. `unread` are repositories that could not be read, with why."""

    endpoint: str
    at: datetime
    looked_at: int
    changes: tuple[CatalogChange, ...]
    unread: tuple[tuple[str, str], ...] = ()


def sync(
    settings: Settings,
    *,
    models: tuple[str, ...] = (),
    owners: tuple[str, ...] = (),
    progress: Progress | None = None,
    now: datetime | None = None,
) -> SyncResult:
    """Ask the hub what is new, and keep it in the user's catalog folder.

    Without `models`: the newest repositories of every known publisher (or of `owners`) that are not in the
    shipped catalog. With `models`: those, and who carries quantizations of them. Each repository is kept at once,
    so a killed sync goes on where it stopped; what has not changed since is not read again.

    Raises `UsageError` when FREEHOLD_OFFLINE is set, `UpstreamError` when the hub cannot be reached.
    """
    if settings.offline:
        raise UsageError(
            "FREEHOLD_OFFLINE forbids asking a hub", hint="what was synced before: freehold catalog list"
        )
    progress = progress or Silent()
    now = now or datetime.now(UTC)
    hub.reach()
    repositories = _of_models(models, progress) if models else _of_owners(owners, progress)
    changes: list[CatalogChange] = []
    unread: list[tuple[str, str]] = []
    progress.step("read", note=f"{len(repositories)} repositories")
    for number, repo in enumerate(repositories, 1):
        try:
            changes.extend(_one(repo, settings, now.date()))
        except (UnknownModelError, InputError) as error:
            unread.append((repo, error.message))
        progress.update(number, len(repositories), unit="repositories", note=repo)
    return SyncResult(
        endpoint=hub.endpoint(),
        at=now,
        looked_at=len(repositories),
        changes=tuple(changes),
        unread=tuple(unread),
    )


def _of_owners(owners: tuple[str, ...], progress: Progress) -> list[str]:
    listed = owners or tuple(owner for row in vendors.publishers() for owner in row.owners)
    found: list[str] = []
    progress.step("list", note=f"{len(listed)} publishers")
    for number, owner in enumerate(listed, 1):
        for one in hub.newest_of(owner, NEWEST):
            answers = one.task in hub.ANSWERING or (one.task is None and "gguf" in one.tags)
            if answers and catalog.find(one.repo) is None:
                found.append(one.repo)
        progress.update(number, len(listed), unit="publishers", note=owner)
    return list(dict.fromkeys(found))


def _of_models(models: tuple[str, ...], progress: Progress) -> list[str]:
    found: list[str] = []
    progress.step("list", note=f"{len(models)} models")
    for number, name in enumerate(models, 1):
        model = catalog.find(name)
        repo = model.id if model is not None else name
        if model is None:
            found.append(repo)
        else:
            found.extend(model.gguf)
        found.extend(one.repo for one in hub.quantized_from(repo, REPACKERS))
        progress.update(number, len(models), unit="models", note=repo)
    return list(dict.fromkeys(found))


def _one(repo: str, settings: Settings, today: date) -> tuple[CatalogChange, ...]:
    found = hub.read(repo)
    before = synced.find(settings.home, found.repo)
    if before is not None and before.commit == found.commit:
        return ()
    after = _describe(found, today)
    synced.keep(settings.home, after)
    return synced.differences(before, after)


def _describe(found: hub.Repository, today: date) -> SyncedModel:
    notes: list[str] = []
    shape = None
    with tempfile.TemporaryDirectory() as place:
        path = hub.config(found, Path(place))
        if path is not None:
            try:
                read = shape_from_config(path)
                shape = read.shape
                notes.extend(read.notes)
            except InputError as error:
                notes.append(f"its config.json gives no sizes: {error.message.removeprefix(f'{path}: ')}")
    if shape is not None and found.parameters:
        counted = parameter_count(shape)
        if abs(counted / found.parameters - 1) > CLOSE:
            notes.append(
                f"{counted:,} parameters by its config, {found.parameters:,} by its files: sizes are approximate"
            )
    if path is None:
        notes.append(
            "terms must be accepted before its config can be read" if found.gated else "no config.json"
        )
    if found.license is None:
        notes.append("its page states no licence: freehold license says what is known of it")
    owner = found.repo.split("/")[0].lower()
    publisher = next(
        (row.name for row in vendors.publishers() if owner in {one.lower() for one in row.owners}), None
    )
    return SyncedModel(
        id=found.repo,
        commit=found.commit,
        publisher=publisher,
        license=found.license,
        gated=found.gated,
        source=f"{hub.endpoint()}/{found.repo} @{found.commit[:8]}",
        fetched=today,
        released=found.created.date() if found.created else None,
        parameters=found.parameters,
        shape=shape,
        made_from=found.bases,
        quantizations=quantizations_of(found),
        notes=tuple(notes),
    )


def quantizations_of(found: hub.Repository) -> tuple[SeenQuantization, ...]:
    """GGUF files of a repository by quantization; the parts of a split file are summed up."""
    groups: dict[str, list[hub.File]] = {}
    for file in found.files:
        if file.name.endswith(".gguf") and "mmproj" not in file.name.lower() and file.bytes:
            groups.setdefault(_PART.sub("", file.name), []).append(file)
    seen: dict[str, SeenQuantization] = {}
    for stem, files in sorted(groups.items()):
        named = _QUANTIZATION.findall(stem)
        if not named:
            continue
        name = known(named[-1])  # the last one: a folder may be named after it too
        seen.setdefault(
            name,
            SeenQuantization(
                repo=found.repo,
                quantization=name,
                bytes=sum(file.bytes or 0 for file in files),
                files=tuple(file.name for file in files),
            ),
        )
    return tuple(sorted(seen.values(), key=lambda one: -one.bytes))


def synced_quantizations(settings: Settings, names: tuple[str, ...]) -> list[SeenQuantization]:
    """Quantizations of a model seen on a hub, by any of its names, in its own or others' repositories."""
    lowered = {name.lower() for name in names}
    found: list[SeenQuantization] = []
    for one in synced.all_synced(settings.home):
        own = {one.id.lower(), one.id.lower().rpartition("/")[2]}
        bases = {model.lower() for relation, model in one.made_from if relation in ("quantized", "made from")}
        if lowered & own or lowered & bases:
            found.extend(one.quantizations)
    return found


def list_models(settings: Settings, *, family: str | None = None) -> tuple[list[Model], list[SyncedModel]]:
    """The shipped catalog and what was synced, both filtered by a part of family, publisher or id."""
    shipped = list(catalog.all_models())
    own = synced.all_synced(settings.home)
    if family is None:
        return shipped, own
    text = family.lower()
    return (
        [one for one in shipped if text in f"{one.family} {one.publisher} {one.id}".lower()],
        [one for one in own if text in f"{one.publisher} {one.id}".lower()],
    )


class ModelDetails(Record, frozen=True, kw_only=True):
    """What is published about a model of the shipped catalog: files and scores."""

    quantizations: tuple[PublishedQuantization, ...]
    scores: tuple[PublishedScore, ...]


def details(model: Model) -> ModelDetails:
    """Published quantizations and scores of a model and of what has its shape (aliases)."""
    names = (model.id, *model.aliases)
    return ModelDetails(quantizations=tuple(published_files(names)), scores=tuple(scores_of(names)))


def known_model(settings: Settings, name: str) -> Model | SyncedModel | None:
    """The model of this name in the shipped catalog, else the synced one; None where neither has it."""
    return catalog.find(name) or synced.find(settings.home, name)
