"""Cores, memory and instruction sets this process may use: cgroup limits come before what is built in.

Covered: Linux cgroup v1 and v2 (limits of the own group and of every group above it), CPU affinity, ISA from
/proc/cpuinfo. Elsewhere psutil's totals are used and `how` says so.
Not covered: NUMA placement, memory that other groups on the host will take later.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import NamedTuple

from freehold.hardware import cgroup
from freehold.hardware.cgroup import kernel_text

ISA_FLAGS: dict[str, str] = {
    "sse4_2": "SSE4.2",
    "avx": "AVX",
    "avx2": "AVX2",
    "f16c": "F16C",
    "fma": "FMA",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512-VNNI",
    "avx512_bf16": "AVX-512-BF16",
    "amx_tile": "AMX",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
    "asimd": "NEON",
    "asimddp": "DOTPROD",
    "i8mm": "I8MM",
    "sve": "SVE",
}
"""Flags of /proc/cpuinfo that engines make use of, by the name people know."""


class KnownNumber(NamedTuple):
    """A number and how it is known."""

    value: int
    how: str


def cores(root: Path = Path("/")) -> KnownNumber:
    """CPU cores this process may keep busy: the least of affinity and cgroup quota (rounded up)."""
    try:
        allowed, how = len(os.sched_getaffinity(0)), "CPU affinity"
    except AttributeError:  # not Linux
        allowed, how = os.cpu_count() or 1, "os.cpu_count"
    for folder in cgroup.folders(root, "cpu"):
        quota = _quota(folder)
        if quota is not None and quota < allowed:
            allowed, how = max(1, -int(-quota // 1)), f"cgroup quota in {folder}"
    return KnownNumber(allowed, how)


def memory_limit(root: Path = Path("/")) -> KnownNumber:
    """Bytes of memory this process may use: the least of physical memory and every cgroup limit above it."""
    import psutil

    limit, how = int(psutil.virtual_memory().total), "physical memory"
    for folder in cgroup.folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            value = _number(folder / name)
            if value is not None and value < limit:
                limit, how = value, f"cgroup limit in {folder / name}"
    return KnownNumber(limit, how)


def memory_available(limit: KnownNumber, root: Path = Path("/")) -> KnownNumber:
    """Bytes that can be taken now without swapping: the least of what the host has free and what the group
    has left (page cache that can be dropped counts as free)."""
    import psutil

    free, how = int(psutil.virtual_memory().available), "free physical memory"
    for folder in cgroup.folders(root, "memory"):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            ceiling, used = _number(folder / limit_name), _number(folder / used_name)
            if ceiling is None or used is None or ceiling > 1 << 60:
                continue
            left = max(0, ceiling - used + _droppable_cache(folder))
            if left < free:
                free, how = left, f"cgroup limit minus use in {folder}"
    return KnownNumber(min(free, limit.value), how)


def name(root: Path = Path("/")) -> str:
    """The CPU's name as the kernel gives it."""
    for line in kernel_text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def isa(root: Path = Path("/")) -> tuple[str, ...]:
    """Instruction sets that matter for inference, as far as the kernel reports them."""
    for line in kernel_text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags = set(value.split())
            return tuple(label for flag, label in ISA_FLAGS.items() if flag in flags)
    return ("NEON",) if platform.machine() in ("arm64", "aarch64") else ()


def _quota(folder: Path) -> float | None:
    parts = kernel_text(folder / "cpu.max").split()
    if len(parts) == 2 and parts[0] != "max":
        return int(parts[0]) / int(parts[1])
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _droppable_cache(folder: Path) -> int:
    for line in kernel_text(folder / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _number(path: Path) -> int | None:
    text = kernel_text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def load_average() -> float | None:
    """Processes that wanted a core, averaged over the last minute; None on a system that counts none."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None
