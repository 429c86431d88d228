"""Does a model fit on a machine, and what is the most that fits."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from freehold.errors import UsageError
from freehold.hardware.memory import ServingLoad, serving_parts
from freehold.hardware.training_memory import TrainingLoad, training_parts
from freehold.hardware.vllm_memory import (
    NODE_DEVICES,
    UTILISATION,
    batch_tokens,
    copied_bytes,
    layout,
    vllm_parts,
)
from freehold.types.engine import ENGINE_KINDS, EngineName
from freehold.types.machine import Accelerator, Fit, FitPart, Machine, Workload
from freehold.types.model import Shape
from freehold.types.record import content_id
from freehold.visible import gib


def fit(
    model: str,
    shape: Shape,
    load: ServingLoad,
    workload: Workload,
    *,
    machine: Machine,
    made_from: tuple[str, ...] = (),
    version: str = "",
    notes: tuple[str, ...] = (),
) -> Fit:
    """Set what serving needs against what the machine has.

    Raises `UsageError` for a workload that means nothing (no tokens, no requests at once), and for vLLM on a machine
    without accelerators.
    """
    reserves = ENGINE_KINDS[load.engine].reserves_accelerator
    if reserves and not machine.accelerators:
        raise UsageError(
            f"vLLM's memory is counted on accelerators, and {machine.name} has none",
            hint="--machine L4 for one you think about, or --engine llamacpp",
        )
    if workload.context_tokens < 1 or workload.concurrency < 1:
        raise UsageError(
            f"context {workload.context_tokens} and concurrency {workload.concurrency}: both must be at least 1"
        )

    parts = _parts(shape, load, workload, machine)
    total = sum(part.bytes for part in parts)
    available, where = vllm_room(machine) if reserves else room(machine)

    def takes(asked: Workload) -> int:
        return sum(part.bytes for part in _parts(shape, load, asked, machine))

    largest = _largest(
        shape.context_tokens,
        lambda tokens: takes(Workload(context_tokens=tokens, concurrency=workload.concurrency)) <= available,
    )
    made = Fit(
        id="",
        model=model,
        quantization=load.quantization,
        machine=machine.name,
        workload=workload,
        parts=parts,
        total_bytes=total,
        available_bytes=available,
        headroom_bytes=available - total,
        fits=total <= available and workload.context_tokens <= shape.context_tokens,
        reasons=(
            *_reasons(shape, workload, parts, total, available, where, largest, machine),
            *(_split(shape, load, machine) if reserves else ()),
            *notes,
        ),
        largest_context_tokens=largest,
        kv_type=load.kv_type,
        engine=load.engine,
        made_from=made_from,
        version=version,
    )
    return with_id(made)


def _parts(shape: Shape, load: ServingLoad, workload: Workload, machine: Machine) -> tuple[FitPart, ...]:
    """The parts as the engine of `load` holds them on this machine."""
    devices = machine.accelerators
    if not ENGINE_KINDS[load.engine].reserves_accelerator:
        return serving_parts(shape, load, workload, devices=len(devices))
    split = layout(shape, len(devices), load.quantization)
    step = min(batch_tokens(device) for device in devices)
    copied = copied_bytes(shape, load.quantization, load.dense, split)
    return vllm_parts(shape, load._replace(copied_bytes=copied), workload, layout=split, batch_tokens=step)


def _split(shape: Shape, load: ServingLoad, machine: Machine) -> tuple[str, ...]:
    """How vLLM is told to use several devices, and why tensors are not split over all of them."""
    devices = len(machine.accelerators)
    if devices == 1:
        return ()
    split = layout(shape, devices, load.quantization)
    said = f"on {devices} accelerators: {split.options}"
    if split.tensor < min(devices, NODE_DEVICES):
        said += (
            f" (tensors are not split over {min(devices, NODE_DEVICES)}: {shape.heads} heads, {shape.kv_heads} of "
            "keys and values, and their widths do not divide)"
        )
    return (said,)


def fit_training(
    model: str,
    shape: Shape,
    load: TrainingLoad,
    *,
    machine: Machine,
    made_from: tuple[str, ...] = (),
    version: str = "",
    notes: tuple[str, ...] = (),
) -> Fit:
    """Set what a training run needs at its peak against what the machine has. One device trains.

    Raises `UsageError` for target modules the model does not have.
    """
    parts = training_parts(shape, load)
    total = sum(part.bytes for part in parts)
    device = max(machine.accelerators, key=lambda one: one.memory_bytes, default=None)
    alone = msgspec.structs.replace(machine, accelerators=() if device is None else (device,))
    available, where = room(alone)

    def takes(tokens: int) -> int:
        one = load._replace(
            samples=1, sample_tokens=tokens, shared_tokens=0, target_tokens=load.target_tokens
        )
        return sum(part.bytes for part in training_parts(shape, one))

    longest = _largest(shape.context_tokens, lambda tokens: takes(tokens) <= available)
    workload = Workload(context_tokens=load.sample_tokens, concurrency=load.samples)
    reasons = _verdict(parts, total, available, where)
    if load.sample_tokens > shape.context_tokens:
        reasons.append(
            f"samples of {load.sample_tokens:,} tokens, the model was made for {shape.context_tokens:,}"
        )
    if len(machine.accelerators) > 1:
        reasons.append(f"training takes one of {len(machine.accelerators)} accelerators")
    reasons.extend(_notes(machine))
    return with_id(
        Fit(
            id="",
            model=model,
            quantization="NF4" if load.method == "qlora" else {2: "BF16", 4: "F32"}[load.value_bytes],
            machine=machine.name,
            workload=workload,
            parts=parts,
            total_bytes=total,
            available_bytes=available,
            headroom_bytes=available - total,
            fits=total <= available and load.sample_tokens <= shape.context_tokens,
            reasons=(*reasons, *notes),
            largest_context_tokens=longest,
            kv_type="none",
            training=load.method,
            made_from=made_from,
            version=version,
        )
    )


def with_id(made: Fit) -> Fit:
    """The fit under the id of its content."""
    return msgspec.structs.replace(made, id=content_id(msgspec.structs.replace(made, id="")))


def room(machine: Machine, share: float = 1.0) -> tuple[int, str]:
    """Bytes a model may take on a machine, and whose they are. `share` is what an engine takes of a device, of what
    the driver leaves of it."""
    if machine.accelerators:
        total = sum(device_room(device, share) for device in machine.accelerators)
        counts = collections.Counter(device.name for device in machine.accelerators)
        names = ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counts.items())
        kept = sum(device.reserved_bytes for device in machine.accelerators)
        where = ("memory of " if share == 1 else f"{share:.0%} of the memory of ") + names
        return total, where + (f", {gib(kept)} of it kept by the driver" if kept else "")
    return machine.available_memory_bytes, machine.how.get("available memory", "memory available now")


def vllm_room(machine: Machine) -> tuple[int, str]:
    """Bytes that vLLM takes on a machine's accelerators, and whose they are: of each as much as of the smallest, since
    it splits evenly."""
    total, where = room(machine, UTILISATION)
    smallest = min(device_room(device, UTILISATION) for device in machine.accelerators)
    even = smallest * len(machine.accelerators)
    return even, where if even == total else f"{where}; of each as much as of the smallest"


def device_room(device: Accelerator, share: float = 1.0) -> int:
    """Bytes that one device has for an engine that takes `share` of what its driver leaves."""
    usable = round((device.memory_bytes - device.reserved_bytes) * share)
    return usable if device.free_memory_bytes is None else min(usable, device.free_memory_bytes)


def _largest(limit: int, fits: Callable[[int], bool]) -> int | None:
    """The largest context in steps of 256 tokens, up to the model's own; None when not even that many fit."""
    low, high = 0, max(1, limit // 256)
    if not fits(256):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * 256):
            low = middle
        else:
            high = middle - 1
    return min(limit, low * 256) or None


def _verdict(parts: tuple[FitPart, ...], total: int, available: int, where: str) -> list[str]:
    if total <= available:
        return [f"needs {gib(total)}, {gib(available)} available ({where})"]
    biggest = max(parts, key=lambda part: part.bytes)
    return [
        f"needs {gib(total)}, only {gib(available)} available ({where})",
        f"largest part: {biggest.name} with {gib(biggest.bytes)}",
    ]


def _notes(machine: Machine) -> tuple[str, ...]:
    """What has to be said of how the machine was understood."""
    note = machine.how.get("note")
    return (note,) if note else ()


def _reasons(
    shape: Shape,
    workload: Workload,
    parts: tuple[FitPart, ...],
    total: int,
    available: int,
    where: str,
    largest: int | None,
    machine: Machine,
) -> tuple[str, ...]:
    reasons = _verdict(parts, total, available, where)
    if workload.context_tokens > shape.context_tokens:
        reasons.append(
            f"asked for {workload.context_tokens:,} tokens of context, the model was made for "
            f"{shape.context_tokens:,}"
        )
    if len({device.name for device in machine.accelerators}) > 1:
        reasons.append("accelerators differ: layers are split over them by memory, none may be short alone")
    if largest is None:
        reasons.append("no context fits at this concurrency")
    elif largest < workload.context_tokens <= shape.context_tokens:
        reasons.append(f"{largest:,} tokens of context would fit at {workload.concurrency} at once")
    return (*reasons, *_notes(machine))


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

    `files_basis` says how the sizes are known. The figures are fitted to the resident memory of the engine's process: a
    model of 22 million weights took 200 MiB when it answered first, 215 MiB after 2,300 short messages, 280 MiB after
    32 of 512 tokens at once (Linux, 2026-11).
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
