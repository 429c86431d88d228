"""Other quantizations of weights that are here, written by llama.cpp's own program."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from freehold.engines.weights.check import sha256_of
from freehold.engines.weights.store import WeightsStore, storage_errors
from freehold.errors import EngineError
from freehold.types.model import Weights
from freehold.types.progress import Progress

MADE = "made:"
"""How the source of weights begins that were written here from others: ``made:Q4_0 from SHA256``."""
WHOLE = ("F32", "BF16", "F16", "Q8_0")
"""What others are best made from, in this order."""


def best_source(found: list[Weights]) -> Weights | None:
    """The weights to quantize from: as little rounded as there are, never some that were made here."""
    given = [one for one in found if one.format == "gguf" and not one.source.startswith(MADE)]
    given.sort(key=lambda one: WHOLE.index(one.quantization) if one.quantization in WHOLE else len(WHOLE))
    return given[0] if given else None


def requantize(
    program: Path, source: Weights, quantization: str, store: WeightsStore, progress: Progress
) -> Weights:
    """Write `source` in another quantization and record it in the store; what is there already is returned.

    From weights that are quantized themselves the rounding of both adds up: the caller measures what it costs.
    Raises `EngineError` when the program fails, and `StorageError`.
    """
    assert source.path is not None
    stored = store.find(source.model_id, quantization)
    made = f"{MADE}{quantization} from {source.sha256}"
    if stored is not None and stored.weights.source == made:
        return store.verify(stored)
    store.room(2 * source.bytes)
    folder = store.folder(source.model_id)
    # Two runs at once must not write into one file.
    partial = store.partial(f"{folder.name}.{quantization}.{os.getpid()}.partial")
    progress.step(f"write {quantization}", note=f"from {Path(source.path).name}")
    command = [str(program), "--allow-requantize", source.path, str(partial), quantization]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        last = ""
        try:
            for line in process.stdout:
                last = line.strip() or last
                if step := re.match(r"\[\s*(\d+)/\s*(\d+)\]", line):
                    progress.update(float(step.group(1)), float(step.group(2)), unit="tensors")
        except BaseException:
            process.kill()
            process.wait()
            partial.unlink(missing_ok=True)
            raise
    if process.returncode != 0:
        partial.unlink(missing_ok=True)
        raise EngineError(f"{source.model_id} could not be written as {quantization}: {last[:200]}")
    target = folder / f"{folder.name}.{quantization}.made.gguf"
    with store.writing(), storage_errors(target):
        folder.mkdir(parents=True, exist_ok=True)
        partial.replace(target)
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
        store.record(weights, owned=True, origin=source.source)
    return weights
