"""NVIDIA GPUs by NVML (the driver's own library; extra ``nvidia``).

Covered: whole GPUs and MIG slices, total and free memory, name. Not covered: GPUs without a driver.
"""

from __future__ import annotations

from typing import Any

from freehold.types.machine import Accelerator


def probe() -> tuple[Accelerator, ...]:
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
