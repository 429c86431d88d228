"""`freehold quants --make`: another quantization of weights that are here, made on this machine."""

from __future__ import annotations

from pathlib import Path

from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.requantize import best_source, requantize
from freehold.engines.weights import local
from freehold.engines.weights.store import WeightsStore
from freehold.errors import EngineError, UnknownModelError, UsageError
from freehold.hardware.gguf_header import read_header, shape_from_gguf
from freehold.hardware.quantization import known, weights_bytes
from freehold.settings import Settings
from freehold.types.model import Weights
from freehold.types.progress import Progress, Silent

UNQUANTIZED = ("F32", "F16", "BF16")


def make(
    model_id: str, quantization: str, settings: Settings, *, progress: Progress | None = None
) -> Weights:
    """Quantize the widest GGUF of a model that is here, with llama.cpp's own program, into the weights store.

    What is there already is returned. Raises `UnknownModelError` when no weights are here, `UsageError` when the
    widest ones are not wider than what is asked for, `EngineError` without the program or when it fails,
    `StorageError` when the disk has no room.
    """
    progress = progress or Silent()
    wanted = known(quantization)
    store = WeightsStore(settings.home)
    source = widest(model_id, store)
    if source.quantization == wanted:
        return source
    there = store.find(source.model_id, wanted)
    if there is not None:
        return store.verify(there)
    program = native.quantize(settings.home)
    if program is None:
        raise EngineError(
            "quantizing needs llama.cpp's own program, and it is not built here",
            hint="freehold engines install llamacpp",
        )
    path = Path(source.path or "")
    shape = shape_from_gguf(read_header(path))
    size = weights_bytes(shape, wanted)
    if size >= source.bytes:
        raise UsageError(
            f"the widest weights of {source.model_id} here are {source.quantization}, and {wanted} is not smaller",
            hint=f"digits that are gone do not come back: freehold pull {source.model_id} with a wider quantization",
        )
    made = requantize(program, source, wanted, store, progress, needed_bytes=size, threads=settings.threads)
    if source.quantization not in UNQUANTIZED:
        progress.say(
            f"made from {source.quantization}, itself quantized: prove it on your task before it serves"
        )
    return made


def widest(model_id: str, store: WeightsStore) -> Weights:
    """The widest GGUF of a model that is here, a file or in the store; one that was quantized here only if no other is.

    Raises `UnknownModelError` when there is none.
    """
    path = Path(model_id)
    if path.is_file():
        return local.describe(path, path.stem, f"file:{path}")
    wanted = model_id.lower()
    here = [
        stored.weights
        for stored in store.list()
        if stored.weights.format == "gguf"
        and wanted in (stored.weights.model_id.lower(), stored.weights.model_id.lower().rpartition("/")[2])
    ]
    if not here:
        raise UnknownModelError(f"no GGUF of {model_id} is here", hint=f"freehold pull {model_id}")
    return best_source(here) or max(here, key=lambda one: one.bytes)
