"""Apple silicon: the GPU shares the machine's memory, of which macOS lends it about three quarters.

Covered: the chip's name and memory by sysctl, the limit where it was set by ``iogpu.wired_limit_mb``.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable

from freehold.types.machine import Accelerator

GPU_SHARE = 0.75
"""Share of unified memory the GPU may wire by default (two thirds on machines up to 36 GiB: see `share`)."""
SMALL_BYTES = 36 << 30


def share(memory_bytes: int) -> float:
    """The default share of unified memory the GPU may take."""
    return 2 / 3 if memory_bytes <= SMALL_BYTES else GPU_SHARE


def probe(sysctl: Callable[[str], str] | None = None) -> tuple[Accelerator, ...]:
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
        room, how = int(size * share(size)), "sysctl hw.memsize, macOS's default share for the GPU"
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
