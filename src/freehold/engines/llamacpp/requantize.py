"""Other quantizations of weights that are here, written by llama.cpp's own program.

The one place where they are made: `freehold quants` and `adapters export` come here.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from freehold.engines.weights.store import WeightsStore, sha256_of, storage_errors
from freehold.environment import inherited
from freehold.errors import EngineError
from freehold.types.model import Weights
from freehold.types.progress import Progress, Silent

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


def run(
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
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=inherited(os.environ),
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        last = "it said nothing"
        try:
            for line in process.stdout:
                last = line.strip() or last
                if step := re.match(r"\[\s*(\d+)/\s*(\d+)\]", line):
                    progress.update(float(step.group(1)), float(step.group(2)), unit="tensors")
        except BaseException:
            process.kill()
            process.wait()
            target.unlink(missing_ok=True)
            raise
    if process.returncode != 0 or not target.is_file():
        target.unlink(missing_ok=True)
        raise EngineError(
            f"llama-quantize could not write {quantization}, it ended with {process.returncode}: {last[:200]}",
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
    # Two runs at once must not write into one file.
    partial = store.partial(f"{folder.name}.{quantization}.{os.getpid()}.partial")
    progress.step(f"write {quantization}", note=f"from {Path(source.path).name}")
    run(program, Path(source.path), partial, quantization, threads=threads, progress=progress)
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
        store.record(
            weights, owned=True, origin=f"quantized here from {source.quantization} {source.sha256[:12]}"
        )
    return weights
