"""All probes together."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from freehold.hardware.probes import amd, apple, bandwidth, cpu, nvidia
from freehold.types.machine import Machine


def probe_machine(folder: Path | None = None, *, measure: bool = False) -> Machine:
    """This machine, as far as this process may use it.

    `folder` is where weights will lie (for disk space). With `measure` memory bandwidth is measured, which
    takes about half a second. A busy machine is measured, too, and `how` says so.
    """
    cores = cpu.cores()
    limit = cpu.memory_limit()
    available = cpu.memory_available(limit)
    how = {"cores": cores.how, "memory": limit.how, "available memory": available.how}
    accelerators = (*nvidia.probe(), *amd.probe(), *apple.probe())
    for number, device in enumerate(accelerators):
        how[f"accelerator {number}"] = device.how
    speed = bandwidth.measure(cores.value) if measure else None
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
        cpu=cpu.name(),
        isa=cpu.isa(),
        accelerators=accelerators,
        disk_free_bytes=disk,
        memory_bandwidth_bytes_per_second=speed,
        how=how,
    )


def _busy(cores: int) -> str:
    load = cpu.load_average() or 0.0
    return f", while other work wanted the cores (load {load:.0f})" if load > cores + 1 else ""


def _disk_free(folder: Path | None) -> int | None:
    if folder is None:
        return None
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free
