"""What this machine is, as far as this process may use it: each probe answers for one kind of device and says how it
knows. Cores and memory are those of the control group (Linux, cgroup v1 and v2) before what is built in.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from freehold.types.machine import Accelerator, Machine


def cgroup_folders(root: Path, controller: str) -> list[Path]:
    """Folders of this process's control group for `controller`, innermost first, up to the mount's root.

    Inside a container /proc/self/cgroup may name a path of the host that does not exist here; the mount's
    root then is the container's own group.
    """
    found: list[Path] = []
    for line in kernel_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controllers
            if not mount.exists():
                mount = root / "sys/fs/cgroup" / controller
        else:
            continue
        folder = mount / path.strip().lstrip("/")
        while folder != mount and mount in folder.parents:
            if folder.exists():
                found.append(folder)
            folder = folder.parent
        if mount.exists():
            found.append(mount)
    return found


def oom_kills(root: Path = Path("/")) -> int | None:
    """How often the kernel has killed a process of this control group for memory; None where it is not counted.

    Covered: ``memory.events`` of cgroup v2, which counts the groups inside as well.
    """
    for folder in cgroup_folders(root, "memory"):
        for line in kernel_text(folder / "memory.events").splitlines():
            key, _, count = line.partition(" ")
            if key == "oom_kill" and count.isdigit():
                return int(count)
    return None


def oom_killed_since(before: int | None) -> bool:
    """Whether the kernel has killed for memory since `oom_kills` gave `before`; False where it is not counted."""
    now = oom_kills()
    return before is not None and now is not None and now > before


def kernel_text(path: Path) -> str:
    """The text of a file under /proc or /sys; empty where this kind of system has none."""
    try:
        return path.read_text()
    except OSError:
        return ""


def probe_machine(folder: Path | None = None, *, measure: bool = False) -> Machine:
    """This machine, as far as this process may use it.

    `folder` is where weights will lie (for disk space). With `measure` memory bandwidth is measured, which
    takes about half a second. A busy machine is measured, too, and `how` says so.
    """
    cores = usable_cores()
    limit = memory_limit()
    available = memory_available(limit)
    how = {"cores": cores.how, "memory": limit.how, "available memory": available.how}
    accelerators = (*probe_nvidia(), *probe_amd(), *probe_apple())
    for number, device in enumerate(accelerators):
        how[f"accelerator {number}"] = device.how
    speed = memory_bandwidth(cores.value) if measure else None
    if speed is not None:
        how["memory bandwidth"] = f"measured with {cores.value} threads{_busy(cores.value)}"
    disk = _disk_free(folder)
    if disk is not None:
        how["disk"] = f"free space at {folder}"
    return Machine(
        name=platform.node() or "this machine",
        cores=cores.value,
        memory_bytes=limit.value,
        available_memory_bytes=available.value,
        cpu=cpu_name(),
        isa=cpu_isa(),
        accelerators=accelerators,
        disk_free_bytes=disk,
        memory_bandwidth_bytes_per_second=speed,
        how=how,
    )


def _busy(cores: int) -> str:
    load = load_average() or 0.0
    return f", while other work wanted the cores (load {load:.0f})" if load > cores + 1 else ""


def _disk_free(folder: Path | None) -> int | None:
    if folder is None:
        return None
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


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


def usable_cores(root: Path = Path("/")) -> KnownNumber:
    """CPU cores this process may keep busy: the least of affinity and cgroup quota (rounded up)."""
    try:
        allowed, how = len(os.sched_getaffinity(0)), "CPU affinity"
    except AttributeError:  # not Linux
        allowed, how = os.cpu_count() or 1, "os.cpu_count"
    for folder in cgroup_folders(root, "cpu"):
        quota = _quota(folder)
        if quota is not None and quota < allowed:
            allowed, how = max(1, -int(-quota // 1)), f"cgroup quota in {folder}"
    return KnownNumber(allowed, how)


def memory_limit(root: Path = Path("/")) -> KnownNumber:
    """Bytes of memory this process may use: the least of physical memory and every cgroup limit above it."""
    import psutil

    limit, how = int(psutil.virtual_memory().total), "physical memory"
    for folder in cgroup_folders(root, "memory"):
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
    for folder in cgroup_folders(root, "memory"):
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


def cpu_name(root: Path = Path("/")) -> str:
    """The CPU's name as the kernel gives it."""
    for line in kernel_text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def cpu_isa(root: Path = Path("/")) -> tuple[str, ...]:
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


BLOCK_BYTES = 64 << 20
PIECE_BYTES = 2 << 20
ROUNDS = 4


def memory_bandwidth(threads: int) -> float:
    """Bytes a second that `threads` threads together work through.

    A piece is compared by the C library with its equal half a block further on, and counted once: scanning alone is
    faster than any arithmetic, and engines reach of this rate what `freehold.hardware.speed` expects. Other threads
    run meanwhile.
    """
    compare = ctypes.CDLL("msvcrt" if os.name == "nt" else None).memcmp
    compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    blocks = [bytearray(b"\1") * BLOCK_BYTES for _ in range(threads)]

    def rate(block: bytearray) -> float:
        start = ctypes.addressof(ctypes.c_char.from_buffer(block))
        seconds = []
        for _ in range(ROUNDS):
            for begin in range(0, BLOCK_BYTES, PIECE_BYTES):
                other = (begin + BLOCK_BYTES // 2) % BLOCK_BYTES
                began = time.perf_counter()
                compare(start + begin, start + other, PIECE_BYTES)
                seconds.append(time.perf_counter() - began)
        return PIECE_BYTES / statistics.median(seconds)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(rate, blocks))


def probe_nvidia() -> tuple[Accelerator, ...]:
    """Every GPU or MIG slice the driver shows this process; empty without driver or library."""
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver, or no permission: no GPU to use
        return ()
    try:
        return tuple(
            device
            for index in range(pynvml.nvmlDeviceGetCount())
            for device in _device(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index))
        )
    finally:
        pynvml.nvmlShutdown()


def _device(nvml: Any, handle: Any) -> list[Accelerator]:
    slices = _slices(nvml, handle)
    found = []
    for place, how in [(slice_, "NVML, MIG slice") for slice_ in slices] or [(handle, "NVML")]:
        memory = _memory(nvml, place)
        name = nvml.nvmlDeviceGetName(place)
        found.append(
            Accelerator(
                kind="nvidia",
                name=name.decode() if isinstance(name, bytes) else str(name),
                memory_bytes=int(memory.total),
                free_memory_bytes=int(memory.free),
                reserved_bytes=int(getattr(memory, "reserved", 0)),
                how=how,
            )
        )
    return found


def _memory(nvml: Any, place: Any) -> Any:
    """Total, free and, where the driver tells it apart (since 510), what it keeps for itself."""
    version = getattr(nvml, "nvmlMemory_v2", None)
    if version is not None:
        try:
            return nvml.nvmlDeviceGetMemoryInfo(place, version=version)
        except (nvml.NVMLError, TypeError):  # a driver or a library from before it
            pass
    return nvml.nvmlDeviceGetMemoryInfo(place)


def _slices(nvml: Any, handle: Any) -> list[Any]:
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:  # a GPU that knows no MIG
        return []
    if not current:
        return []
    found = []
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
        except nvml.NVMLError:  # an empty place
            continue
    return found


AMD_VENDOR = "0x1002"


def probe_amd(root: Path = Path("/")) -> tuple[Accelerator, ...]:
    """Every card the amdgpu driver runs; empty elsewhere."""
    found = []
    for device in sorted((root / "sys/class/drm").glob("card*/device")):
        if _read(device / "vendor") != AMD_VENDOR:
            continue
        total, used = _read(device / "mem_info_vram_total"), _read(device / "mem_info_vram_used")
        if not total.isdigit():
            continue
        name = _read(device / "product_name") or f"AMD GPU {_read(device / 'device')}"
        found.append(
            Accelerator(
                kind="amd",
                name=name,
                memory_bytes=int(total),
                free_memory_bytes=int(total) - int(used) if used.isdigit() else None,
                how=f"amdgpu driver: {device.relative_to(root)}",
            )
        )
    return tuple(found)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # the driver does not offer this one
        return ""


GPU_SHARE = 0.75
"""Share of unified memory the GPU may wire by default (two thirds on machines up to 36 GiB: see `share`)."""
SMALL_BYTES = 36 << 30


def share_lent(memory_bytes: int) -> float:
    """The default share of unified memory the GPU may take."""
    return 2 / 3 if memory_bytes <= SMALL_BYTES else GPU_SHARE


def probe_apple(sysctl: Callable[[str], str] | None = None) -> tuple[Accelerator, ...]:
    """The GPU of an Apple chip; empty elsewhere."""
    if sysctl is None:
        if platform.system() != "Darwin" or platform.machine() != "arm64":
            return ()
        sysctl = _sysctl
    memory = sysctl("hw.memsize")
    if not memory.isdigit():
        return ()
    limit_mb = sysctl("iogpu.wired_limit_mb")
    size = int(memory)
    if limit_mb.isdigit() and int(limit_mb) > 0:
        room, how = int(limit_mb) << 20, "sysctl iogpu.wired_limit_mb"
    else:
        room, how = int(size * share_lent(size)), "sysctl hw.memsize, macOS's default share for the GPU"
    return (
        Accelerator(
            kind="apple",
            name=sysctl("machdep.cpu.brand_string") or "Apple GPU",
            memory_bytes=room,
            unified=True,
            how=how,
        ),
    )


def _sysctl(name: str) -> str:
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False, timeout=5)  # noqa: S607 (found by PATH on purpose)
    return done.stdout.strip()


__all__ = ["probe_machine"]
