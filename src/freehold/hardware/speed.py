"""How fast a model runs: a roofline estimate with a range, until it is measured.

Reading a prompt is bound by arithmetic (2 operations a weight and token), writing an answer by memory: each
token needs the active weights once, shared by all requests of a batch, and each request's own cache. What
engines reach of a device's peak differs by class of device; the shares below are the ranges used.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from freehold.hardware.memory import kv_cache
from freehold.hardware.tensors import active_parameter_count, parameter_count
from freehold.types.machine import Machine, Speed, Workload
from freehold.types.model import Shape

Build = Literal["wheel", "native"]
"""Which llama.cpp runs on a CPU: the prebuilt library (AVX2, its own system report), or one compiled on this machine
for what its CPU has."""

CPU_FLOPS_PER_CYCLE: dict[Build, dict[str, float]] = {
    "wheel": {"AVX2": 32, "NEON": 16},
    "native": {"AMX-INT8": 1024, "AVX-512-VNNI": 128, "AVX-512": 64, "AVX2": 32, "I8MM": 64, "NEON": 16},
}
"""Operations per core and cycle at the peak of the widest instruction set the build uses; of AMX (2,048 on 8-bit
numbers) half, since weights are unpacked first."""
CPU_HERTZ = 2.5e9
"""Clock under full vector load, assumed."""


class Share(NamedTuple):
    """Shares of the peak that engines reach for one request, lowest and highest expected. `filled` are the lowest of
    both when `FILLED` or more requests at once fill the device. `unpack` is of a CPU: what of its plain vector rate it
    reaches while it multiplies weights with one token's numbers, unpacking them on the way."""

    prefill: tuple[float, float]
    decode: tuple[float, float]
    filled: tuple[float, float] | None = None
    unpack: tuple[float, float] | None = None


FILLED = 4


SHARES: dict[str, Share] = {
    # GeForce cards are rated at full-precision sums, of which llama.cpp's kernels are not bound: close to the rate.
    "nvidia, GeForce": Share((0.3, 0.95), (0.4, 0.85)),
    # One request does not fill a data-centre card: a small model stays far below its bandwidth.
    "nvidia": Share((0.08, 0.65), (0.25, 0.85), filled=(0.25, 0.45)),
    "amd": Share((0.15, 0.5), (0.35, 0.75)),
    "intel": Share((0.1, 0.4), (0.3, 0.7)),
    "apple": Share((0.15, 0.8), (0.35, 0.85)),
    # A small model stays in the last-level cache in part: above what memory gives. Clocks above the assumed one, and
    # wider units than the build was said to use, give more than the whole of the peak.
    "cpu": Share((0.25, 1.8), (0.4, 1.05), unpack=(0.25, 1.5)),
    "cpu, native": Share((0.02, 0.5), (0.4, 1.05), unpack=(0.25, 1.5)),
}
"""Set against figures measured here and published by others: docs/reference/speed.md, whose rows are a test."""


CPU_WAIT_SECONDS = (0.0, 0.00015)
"""What a layer costs a token besides bytes and arithmetic: threads wait for each other at each operation. It decides
models of a hundred million weights only."""


class Bound(NamedTuple):
    """Peak rates of what does the work, bytes and operations a second. `vector_flops` is a CPU's plain vector rate,
    which one token's matrix products have whatever units it has for whole matrices."""

    kind: str
    bytes_per_second: float
    flops: float
    basis: str
    vector_flops: float | None = None


def is_geforce(kind: str, name: str) -> bool:
    """RTX 3090, RTX 4070 Ti, NVIDIA GeForce RTX 5080; not RTX A6000, RTX 6000 Ada, RTX PRO 6000."""
    return kind == "nvidia" and re.search(r"\bRTX [2-5]0\d0\b", name) is not None


def bound(machine: Machine, build: Build = "wheel") -> Bound | None:
    """The machine's peaks; None when a device's rates are not known (nothing is guessed).

    Several accelerators work one after the other on one request (layers are split), so their peaks do not
    add for decoding; the slowest counts.
    """
    if machine.accelerators:
        rates = [device.bandwidth_bytes_per_second for device in machine.accelerators]
        flops = [device.bf16_flops for device in machine.accelerators]
        if any(rate is None for rate in rates):
            return None
        known_rates = [rate for rate in rates if rate is not None]
        known_flops = [value for value in flops if value is not None]
        # Apple publishes no matrix rate: take what its bandwidth can feed at 60 operations a byte.
        peak = min(known_flops) if len(known_flops) == len(flops) else 60 * min(known_rates)
        device = machine.accelerators[0]
        kind = "nvidia, GeForce" if is_geforce(device.kind, device.name) else device.kind
        return Bound(kind, min(known_rates), peak, f"{device.name}: {device.how}")
    if machine.memory_bandwidth_bytes_per_second is None:
        return None
    widths = CPU_FLOPS_PER_CYCLE[build]
    names = [name for name in widths if name in machine.isa]
    width = widths[names[0]] if names else 8
    wider = names and names[0] not in CPU_FLOPS_PER_CYCLE["wheel"]
    plain = next((flops for name, flops in CPU_FLOPS_PER_CYCLE["wheel"].items() if name in machine.isa), 8.0)
    return Bound(
        "cpu, native" if wider else "cpu",
        machine.memory_bandwidth_bytes_per_second,
        machine.cores * width * CPU_HERTZ,
        f"{machine.cores} cores, {names[0] if names else 'no vector set known'} ({build} build), memory bandwidth "
        + machine.how.get("memory bandwidth", "stated"),
        machine.cores * plain * CPU_HERTZ,
    )


def estimate(
    shape: Shape,
    weights_bytes: int,
    workload: Workload,
    machine: Machine,
    *,
    kv_type: str = "f16",
    build: Build = "wheel",
) -> Speed | None:
    """Speed of a workload on a machine; None when the machine's rates are not known. `build` is llama.cpp's."""
    peaks = bound(machine, build)
    if peaks is None:
        return None
    share = SHARES.get(peaks.kind, SHARES["cpu"])
    active, embedding = _active(shape)
    total = parameter_count(shape)
    bytes_per_weight = weights_bytes / total
    one = Workload(context_tokens=max(1, workload.context_tokens // 2), concurrency=1)
    cache = kv_cache(shape, one, k_type=kv_type, v_type=kv_type).bytes
    many = workload.concurrency
    # With experts a batch touches more of them, up to all.
    touched = (
        min(float(total - embedding), (active - embedding) * many) if shape.experts else active - embedding
    )
    flops_per_token = 2 * (active - embedding)

    def decode(part: float, flops: float, batch: int, weights: float, wait: float = 0.0) -> float:
        memory = (weights * bytes_per_weight + batch * cache) / (peaks.bytes_per_second * part)
        arithmetic = batch * flops_per_token / flops
        return batch / (max(memory, arithmetic) + shape.layers * wait)

    low, high = share.decode
    slow, fast = share.prefill
    full_slow, full_low = share.filled if share.filled is not None and many >= FILLED else (slow, low)
    least, most, full_least = peaks.flops * slow, peaks.flops * fast, peaks.flops * full_slow
    waits, slowest = (0.0, 0.0), full_least
    if share.unpack is not None and peaks.vector_flops is not None:
        least, waits = peaks.vector_flops * share.unpack[0], CPU_WAIT_SECONDS
        # Wider units don't make reading slower than without them.
        full_least, slowest = least, max(least, slowest)
        most = max(peaks.vector_flops * share.unpack[1], most)
    return Speed(
        prefill_tokens_per_second=(
            slowest / flops_per_token,
            peaks.flops * fast / flops_per_token,
        ),
        decode_tokens_per_second=(
            decode(low, least, 1, active - embedding, waits[1]),
            decode(high, most, 1, active - embedding, waits[0]),
        ),
        decode_all_tokens_per_second=(
            decode(full_low, full_least, many, touched, waits[1]),
            decode(high, most, many, touched, waits[0]),
        ),
        concurrency=many,
        how="estimated",
        basis=f"roofline over {peaks.basis}",
    )


def _active(shape: Shape) -> tuple[float, float]:
    """Weights a token passes, and those of them only looked up (an untied embedding table)."""
    active = float(active_parameter_count(shape))
    looked_up = 0 if shape.tied_embeddings else shape.hidden * shape.vocabulary
    return active, float(looked_up)
