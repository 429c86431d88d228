"""How many bytes a trained encoder takes while it is served, by part. Pure.

Fitted to the resident memory of the encoder engine's process: a model of 22 million weights took 200 MiB when it
answered first, 215 MiB after 2,300 short messages, 280 MiB after 32 of 512 tokens at once (Linux, 2026-11).
"""

from __future__ import annotations

from typing import NamedTuple

from freehold.hardware.fit import with_id
from freehold.types.engine import EngineName
from freehold.types.machine import Fit, FitPart, Machine, Workload
from freehold.types.units import gib

PROCESS_BYTES = 115 << 20
"""Interpreter, ONNX Runtime and what speaks HTTP."""
TOKENIZER_SHARE = 8
"""Bytes in memory for each byte of a tokenizer's file: its vocabulary as tables."""
ACTIVATIONS = 14
"""Vectors of the model's width that one token needs at once, of which the widest layer has eight."""
HEAD_WIDTH = 32
"""The narrowest attention head of usual encoders: narrower heads are more of them, and more memory."""
FLOAT_BYTES = 4
ENGINE: EngineName = "encoder"


class EncoderLoad(NamedTuple):
    """What is held in memory: sizes of files in bytes, the model's `width`, the tokens of one text and of one run.

    `files_basis` says how the sizes are known.
    """

    weights_bytes: int
    tokenizer_bytes: int
    width: int
    max_tokens: int
    run_tokens: int
    files_basis: str = "size of the files"


def encoder_parts(load: EncoderLoad) -> tuple[FitPart, ...]:
    """Memory by part."""
    heads = max(1, load.width // HEAD_WIDTH)
    run = load.run_tokens * FLOAT_BYTES * (ACTIVATIONS * load.width + heads * load.max_tokens)
    return (
        FitPart(name="weights", bytes=load.weights_bytes, basis=load.files_basis),
        FitPart(
            name="tokenizer",
            bytes=TOKENIZER_SHARE * load.tokenizer_bytes,
            basis=f"{TOKENIZER_SHARE} times its file; {load.files_basis}",
        ),
        FitPart(
            name="compute",
            bytes=run,
            basis=f"a run of {load.run_tokens:,} tokens of texts of {load.max_tokens:,}: activations and attention",
        ),
        FitPart(name="process", bytes=PROCESS_BYTES, basis="interpreter and libraries, measured"),
    )


def fit_encoder(
    model: str, load: EncoderLoad, workload: Workload, *, machine: Machine, version: str = ""
) -> Fit:
    """Set what serving an encoder needs against the machine's memory: it computes on the CPU."""
    parts = encoder_parts(load)
    total = sum(part.bytes for part in parts)
    available = machine.available_memory_bytes
    where = machine.how.get("available memory", "memory available now")
    verb = "fit in" if total <= available else "do not fit in"
    return with_id(
        Fit(
            id="",
            model=model,
            quantization="F32",
            machine=machine.name,
            workload=workload,
            parts=parts,
            total_bytes=total,
            available_bytes=available,
            headroom_bytes=available - total,
            fits=total <= available,
            reasons=(f"{gib(total, 2)} {verb} {gib(available, 2)} ({where})",),
            kv_type="none",
            engine=ENGINE,
            version=version,
        )
    )
