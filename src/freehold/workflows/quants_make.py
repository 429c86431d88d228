"""`freehold quants --make`: another quantization of weights that are here, made on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.requantize import MADE
from freehold.engines.weights import local
from freehold.engines.weights.store import Stored, WeightsStore, storage_errors
from freehold.errors import EngineError, UnknownModelError, UsageError
from freehold.hardware.gguf_header import read_header
from freehold.hardware.quantization import known, weights_bytes
from freehold.hardware.shapes import shape_from_gguf
from freehold.settings import Settings
from freehold.types.model import Weights
from freehold.types.progress import Progress, Silent

UNQUANTIZED = ("F32", "F16", "BF16")
QUANTIZED_HERE = "quantized here"


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
            hint="freehold engines install llamacpp --native",
        )
    path = Path(source.path or "")
    shape = shape_from_gguf(read_header(path))
    size = weights_bytes(shape, wanted)
    if size >= source.bytes:
        raise UsageError(
            f"the widest weights of {source.model_id} here are {source.quantization}, and {wanted} is not smaller",
            hint=f"digits that are gone do not come back: freehold pull {source.model_id} with a wider quantization",
        )
    store.room(size)
    with store.writing():
        partial = store.partial(f"{path.stem}-{wanted}.gguf")
        partial.unlink(missing_ok=True)
        progress.step(f"quantize to {wanted}", note=f"from {source.quantization}")
        _run(program, path, partial, wanted, settings, requantize=source.quantization not in UNQUANTIZED)
        target = store.folder(source.model_id) / f"{path.stem}-{wanted}.gguf"
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(target)
        made = local.describe(target, source.model_id, f"file:{target}")
        made = msgspec.structs.replace(made, quantization=wanted, chat_template=source.chat_template)
        store.record(
            made, owned=True, origin=f"{QUANTIZED_HERE} from {source.quantization} {source.sha256[:12]}"
        )
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
        stored
        for stored in store.list()
        if stored.weights.format == "gguf"
        and wanted in (stored.weights.model_id.lower(), stored.weights.model_id.lower().rpartition("/")[2])
    ]
    if not here:
        raise UnknownModelError(f"no GGUF of {model_id} is here", hint=f"freehold pull {model_id}")
    return max(here, key=lambda stored: (not _made_here(stored), stored.weights.bytes)).weights


def _made_here(stored: Stored) -> bool:
    return (stored.origin or "").startswith(QUANTIZED_HERE) or stored.weights.source.startswith(MADE)


def _run(
    program: Path, source: Path, target: Path, quantization: str, settings: Settings, *, requantize: bool
) -> None:
    extra = ["--allow-requantize"] if requantize else []
    threads = [str(settings.threads)] if settings.threads is not None else []
    done = subprocess.run(
        [str(program), *extra, str(source), str(target), quantization, *threads],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0 or not target.is_file():
        target.unlink(missing_ok=True)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise EngineError(
            f"llama-quantize ended with {done.returncode}: {lines[-1] if lines else 'it said nothing'}",
            hint=f"is {source} a whole GGUF? freehold fit {source}",
        )
