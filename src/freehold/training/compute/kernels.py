"""The element-wise work of a step as compiled loops (``kernels.c``), where the machine has a C compiler.

`load` compiles them once a process, in about two seconds, for this processor; without a compiler, on
other devices and in other number formats everything is computed by PyTorch (`freehold.training.compute.elementwise`).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

# No -ffast-math: linked into a library it changes how the whole process treats tiny numbers.
_FLAGS = (
    "-O3", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math",
    "-freciprocal-math", "-fopenmp", "-shared", "-fPIC",
)  # fmt: skip
WIDEST_HEAD = 1024  # `scatter` sums a head's prefix in a buffer of this size.


class NativeKernels:
    """The compiled loops. Arrays are contiguous bfloat16 on the CPU unless said otherwise."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def call(self, name: str, *arguments: Any) -> None:
        """Call a loop: tensors go as pointers (None as NULL), whole numbers as 64 bits, floats as 32."""
        given: list[Any] = []
        for argument in arguments:
            if isinstance(argument, torch.Tensor):
                given.append(ctypes.c_void_p(argument.data_ptr()))
            elif argument is None:
                given.append(ctypes.c_void_p(None))
            elif isinstance(argument, float):
                given.append(ctypes.c_float(argument))
            else:
                given.append(ctypes.c_int64(argument))
        getattr(self._library, name)(*given, ctypes.c_int(torch.get_num_threads()))


@functools.cache
def load() -> NativeKernels | None:
    """Compile and load; None where that does not work."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None or os.name != "posix":
        return None
    source = Path(__file__).with_name("kernels.c")
    native = ["-march=native"] if platform.machine() in ("x86_64", "AMD64") else ["-mcpu=native"]
    if native == ["-march=native"] and torch.cpu.get_capabilities().get("avx512_f"):
        native.append("-mprefer-vector-width=512")
    with tempfile.TemporaryDirectory(prefix="freehold-") as folder:
        target = Path(folder) / "kernels.so"
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [compiler, *_FLAGS, *native, str(source), "-o", str(target), "-lm"],
                check=True,
                capture_output=True,
                timeout=120,
            )
            return NativeKernels(ctypes.CDLL(str(target)))
    return None


def for_tensors(*tensors: torch.Tensor) -> NativeKernels | None:
    """The compiled loops when they can work on these tensors, else None."""
    if all(x.dtype == torch.bfloat16 and x.device.type == "cpu" for x in tensors):
        return load()
    return None
