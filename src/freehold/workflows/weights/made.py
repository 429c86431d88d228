"""Weights made from others, once, and kept in the weights store: a GGUF's numbers as safetensors, for engines that read
only those; and another quantization (`freehold fit --make`), by llama.cpp's own program.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from freehold import __version__, files
from freehold.engines.llamacpp import native
from freehold.engines.weights import local
from freehold.engines.weights.convert import RECORD_NAME, Conversion, ConversionRecord, convert
from freehold.engines.weights.pypi import run_job
from freehold.engines.weights.store import WeightsStore, sha256_of
from freehold.environment import inherited
from freehold.errors import EngineError, UnknownModelError, UsageError
from freehold.hardware.gguf_header import read_header, shape_from_gguf
from freehold.hardware.quantization import known, weights_bytes
from freehold.progress import Progress, Silent
from freehold.settings import Settings
from freehold.types.model import Weights
from freehold.visible import GIB

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
            f"weights of {weights.model_id} are not here", hint=f"freehold models pull {weights.model_id}"
        )
    with store.writing():
        if (stored := store.converted(weights.sha256)) is not None:
            return store.verify(stored)
        store.room(weights.bytes * (LARGEST_GROWTH if weights.bytes < GIB else 4))
        progress.step("write the weights as safetensors", note=f"{weights.model_id} {weights.quantization}")
        folder = store.folder(weights.model_id) / f"safetensors-{weights.sha256[:12]}"
        record = ConversionRecord(
            source_sha256=weights.sha256,
            source_path=weights.path,
            quantization=weights.quantization,
            version=__version__,
        )
        with store.arriving(folder) as partial:
            convert(Conversion(source=weights.path, target=str(partial), chat_template=weights.chat_template))
            files.write_json(partial / RECORD_NAME, record)
        found = local.describe(folder, weights.model_id, f"converted:{weights.sha256}")
        store.record(
            found,
            owned=True,
            origin=f"{weights.quantization} weights with sha256 {weights.sha256}, written in 16 bits",
            converted_from=weights.sha256,
        )
    return found


MADE = "made:"
"""How the source of weights begins that were written here from others: ``made:Q4_0 from SHA256``."""
WHOLE = ("F32", "BF16", "F16", "Q8_0")
"""What others are best made from, in this order; then the widest."""


def best_source(found: list[Weights]) -> Weights | None:
    """The weights to quantize from: as little rounded as there are, never some that were made here."""
    given = [one for one in found if one.format == "gguf" and not one.source.startswith(MADE)]
    given.sort(
        key=lambda one: (
            WHOLE.index(one.quantization) if one.quantization in WHOLE else len(WHOLE),
            -one.bytes,
        )
    )
    return given[0] if given else None


def run_quantize(
    program: Path,
    source: Path,
    target: Path,
    quantization: str,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Let llama-quantize write `target`; tensors that were quantized before are rounded again.

    What it wrote is removed when it fails or is interrupted. Raises `EngineError` with its last line.
    """
    progress = progress or Silent()
    command = [str(program), "--allow-requantize", str(source), str(target), quantization]
    if threads is not None:
        command.append(str(threads))

    def tell(line: str) -> None:
        if step := re.match(r"\[\s*(\d+)/\s*(\d+)\]", line):
            progress.update(float(step.group(1)), float(step.group(2)), unit="tensors")

    try:
        code, said = run_job(command, tell=tell, environment=inherited(os.environ))
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    if code != 0 or not target.is_file():
        target.unlink(missing_ok=True)
        last = said[-1] if said else "it said nothing"
        raise EngineError(
            f"llama-quantize could not write {quantization}, it ended with {code}: {last[:200]}",
            hint=f"is it a quantization llama.cpp knows (Q4_K_M, Q6_K …), and {source} a whole GGUF? "
            f"freehold fit {source}",
        )


def requantize(
    program: Path,
    source: Weights,
    quantization: str,
    store: WeightsStore,
    progress: Progress,
    *,
    needed_bytes: int | None = None,
    threads: int | None = None,
) -> Weights:
    """Write `source` in another quantization and record it in the store; what is there already is returned.

    From weights that are quantized themselves the rounding of both adds up: the caller measures what it costs. Their
    bare name goes on meaning what was pulled. `needed_bytes` are those of the result where they are known. Raises
    `EngineError` when the program fails, and `StorageError`.
    """
    assert source.path is not None
    stored = store.find(source.model_id, quantization)
    made = f"{MADE}{quantization} from {source.sha256}"
    if stored is not None and stored.weights.source == made:
        return store.verify(stored)
    store.room(2 * source.bytes if needed_bytes is None else needed_bytes)
    folder = store.folder(source.model_id)
    target = folder / f"{folder.name}.{quantization}.made.gguf"
    progress.step(f"write {quantization}", note=f"from {Path(source.path).name}")
    # Two runs at once must not write into one file.
    with store.arriving(target, f"{folder.name}.{quantization}.{os.getpid()}.partial") as partial:
        run_quantize(program, Path(source.path), partial, quantization, threads=threads, progress=progress)
    with store.writing():
        weights = Weights(
            model_id=source.model_id,
            format="gguf",
            quantization=quantization,
            bytes=target.stat().st_size,
            sha256=sha256_of(target),
            source=made,
            path=str(target),
            chat_template=source.chat_template,
        )
        store.record(
            weights, owned=True, origin=f"quantized here from {source.quantization} {source.sha256[:12]}"
        )
    return weights


UNQUANTIZED = ("F32", "F16", "BF16")


def make_quantization(
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
            hint=f"digits that are gone do not come back: freehold models pull {source.model_id} with a wider one",
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
        raise UnknownModelError(f"no GGUF of {model_id} is here", hint=f"freehold models pull {model_id}")
    return best_source(here) or max(here, key=lambda one: one.bytes)
