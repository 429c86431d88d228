"""Disks that fail or are slow, and clocks that step, for processes that `shim.c` is preloaded into."""

import functools
import mmap
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

WRITE, SYNC, TRUNCATE, OPEN = 1, 2, 4, 8
_FIELDS = ("kinds", "error", "first", "last", "slow_us", "offset_ns", "calls", "failed")
_NUMBER = struct.Struct("=q")


@functools.cache
def why_not():
    """Why the shim cannot be had here; None where it can."""
    if not sys.platform.startswith("linux"):
        return "the shim is for Linux"
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        return "no C compiler (cc or gcc)"
    return None


@functools.cache
def library():
    """The compiled shim, made once a run."""
    target = Path(tempfile.mkdtemp(prefix="freehold-faults-")) / "shim.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    source = Path(__file__).with_name("shim.c")
    command = [compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", str(target), str(source)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return target


class Shim:
    """The switch. `environment` is what a process is started with that should feel it; `paths` begin the paths of
    files whose calls may fail."""

    def __init__(self, folder, paths):
        file = Path(folder) / "fault-control"
        file.write_bytes(bytes(_NUMBER.size * len(_FIELDS)))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 0)
        self.environment = {
            "LD_PRELOAD": str(library()),
            "FREEHOLD_TEST_FAULT_CONTROL": str(file),
            "FREEHOLD_TEST_FAULT_PATHS": ":".join(map(str, paths)),
        }

    def _set(self, **values):
        for name, value in values.items():
            _NUMBER.pack_into(self._map, _FIELDS.index(name) * _NUMBER.size, value)

    def _get(self, name):
        return _NUMBER.unpack_from(self._map, _FIELDS.index(name) * _NUMBER.size)[0]

    def fail(self, kinds, error, *, first=1, times=None):
        """From here on the calls of `kinds` fail with `error`: from the `first`, all or so many `times`."""
        self.works()
        last = 0 if times is None else first + times - 1
        self._set(calls=0, failed=0, error=error, first=first, last=last, kinds=kinds)

    def slow(self, kinds, seconds):
        """From here on each call of `kinds` first sleeps."""
        self.works()
        self._set(calls=0, slow_us=int(seconds * 1e6), kinds=kinds)

    def works(self):
        """Nothing fails or is slow any more."""
        self._set(kinds=0, error=0, slow_us=0)

    def step_clock(self, seconds):
        """The time of day is off by so much from here on."""
        self._set(offset_ns=int(seconds * 1_000_000_000))

    @property
    def calls(self):
        return self._get("calls")

    @property
    def failed(self):
        return self._get("failed")
