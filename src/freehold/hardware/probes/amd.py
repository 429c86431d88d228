"""AMD GPUs by what the amdgpu kernel driver puts under /sys (no library needed).

Covered: memory and memory in use of each card. Not covered: which cards ROCm supports, APUs' shared memory.
"""

from __future__ import annotations

from pathlib import Path

from freehold.types.machine import Accelerator

VENDOR = "0x1002"


def probe(root: Path = Path("/")) -> tuple[Accelerator, ...]:
    """Every card the amdgpu driver runs; empty elsewhere."""
    found = []
    for device in sorted((root / "sys/class/drm").glob("card*/device")):
        if _read(device / "vendor") != VENDOR:
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
