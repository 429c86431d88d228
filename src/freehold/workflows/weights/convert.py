"""A GGUF's numbers as safetensors, for engines that read only those."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from freehold import __version__
from freehold.engines.weights import local
from freehold.engines.weights.convert import RECORD_NAME, Conversion, ConversionRecord, convert
from freehold.engines.weights.store import WeightsStore, storage_errors
from freehold.errors import UsageError
from freehold.settings import Settings
from freehold.types.model import Weights
from freehold.types.progress import Progress, Silent
from freehold.types.units import GIB

LARGEST_GROWTH = 8
"""Bytes in 16 bits for a byte of the smallest quantization in use (2 bits)."""


def to_safetensors(weights: Weights, settings: Settings, *, progress: Progress | None = None) -> Weights:
    """The same weights as a folder of safetensors in the store; made once, then found by the source's hash.

    Weights that are safetensors already are returned as they are. Raises `WeightsError` (transformers cannot read this
    GGUF), `MissingExtraError`, `StorageError`.
    """
    if weights.format == "safetensors":
        return weights
    progress = progress or Silent()
    store = WeightsStore(settings.home)
    if weights.path is None:
        raise UsageError(
            f"weights of {weights.model_id} are not here", hint=f"freehold pull {weights.model_id}"
        )
    with store.writing():
        if (stored := store.converted(weights.sha256)) is not None:
            return store.verify(stored)
        store.room(weights.bytes * (LARGEST_GROWTH if weights.bytes < GIB else 4))
        progress.step("write the weights as safetensors", note=f"{weights.model_id} {weights.quantization}")
        folder = store.folder(weights.model_id) / f"safetensors-{weights.sha256[:12]}"
        partial = store.partial(f"safetensors-{weights.sha256[:12]}")
        with storage_errors(partial):
            shutil.rmtree(partial, ignore_errors=True)
        try:
            convert(Conversion(source=weights.path, target=str(partial), chat_template=weights.chat_template))
            record = ConversionRecord(
                source_sha256=weights.sha256,
                source_path=weights.path,
                quantization=weights.quantization,
                version=__version__,
            )
            with storage_errors(folder):
                (partial / RECORD_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
                folder.parent.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return _record(store, weights, folder)


def _record(store: WeightsStore, weights: Weights, folder: Path) -> Weights:
    found = local.describe(folder, weights.model_id, f"converted:{weights.sha256}")
    store.record(
        found,
        owned=True,
        origin=f"{weights.quantization} weights with sha256 {weights.sha256}, written in 16 bits",
        converted_from=weights.sha256,
    )
    return found
