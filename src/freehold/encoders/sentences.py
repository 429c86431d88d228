"""Sentence vectors alone, of a trained encoder's folder: what finds the examples that are near a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import EncodedText, OnnxRunner
from freehold.errors import EngineError, InputError, StorageError
from freehold.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

_AT_ONCE = 256
"""Texts that are cut and held as tokens at a time; how many are computed together is the runner's own matter."""


class SentenceVectors:
    """One encoder in memory. `threads` are those of one call. Safe in several threads at once.

    Raises `MissingExtraError` without ONNX Runtime, `StorageError` for a folder that holds no encoder it runs.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        try:
            manifest = read_manifest(folder, answers=False)
            if manifest.runs_on != "onnx":
                raise StorageError(f"{folder}: an encoder of the kind {manifest.runs_on} finds no examples")
            self._runner = OnnxRunner(folder, manifest, (), threads, None)
        except (InputError, EngineError) as error:
            raise StorageError(f"the encoder cannot be read: {error.message}") from None
        self._width = manifest.width

    def of(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """A vector of length 1 for each text, one a row."""
        rows = [np.zeros((0, self._width), np.float32)]
        for start in range(0, len(texts), _AT_ONCE):
            read = self._runner.run(texts[start : start + _AT_ONCE])
            rows.append(np.stack([one.embedding for one in read if isinstance(one, EncodedText)]))
        return np.concatenate(rows)
