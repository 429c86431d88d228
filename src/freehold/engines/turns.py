"""Short turns for engines: a thread that wakes at a barrier runs at once, also where others want the core.

A small model has hundreds of barriers a token. Where something else computes on the same cores, a thread that has
slept at one waits for the other's turn to end (3 ms and more on Linux) before it goes on, hundreds of times a token.
Since Linux 6.12 a thread may ask for turns of another length (``sched_setattr``, 0.1 to 100 ms; sched(7)): the shorter
they are, the sooner it is put on after waking. Its share of the core stays the same, so nobody loses any.

Covered: Linux on x86-64 and 64-bit ARM; threads and processes started afterwards take it over.
Not covered: other systems and older kernels, where asking changes nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

TURN_NS = 100_000
"""The shortest turn that Linux gives."""
_SYSCALL = {"x86_64": 314, "aarch64": 274}
"""Numbers of ``sched_setattr`` (syscalls(2))."""


class _Attributes(ctypes.Structure):
    """``struct sched_attr``, its first version (sched_setattr(2)); the runtime of a plain thread is its turn."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    ]


def shorten(process: int, *, turn_ns: int = TURN_NS) -> bool:
    """Ask for turns of `turn_ns` for a process that was just started; whether the system took it."""
    number = _SYSCALL.get(platform.machine())
    if not sys.platform.startswith("linux") or number is None:
        return False
    try:
        if os.sched_getscheduler(process) != os.SCHED_OTHER:
            return False  # somebody chose another order on purpose
        nice = os.getpriority(os.PRIO_PROCESS, process)
    except OSError:
        return False  # it has ended already
    asked = _Attributes(size=ctypes.sizeof(_Attributes), policy=os.SCHED_OTHER, nice=nice, runtime_ns=turn_ns)
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(number, process, ctypes.byref(asked), 0)) == 0


def turn_ns(process: int) -> int | None:
    """The length of turns a process has asked for; None where that cannot be told."""
    number = {"x86_64": 315, "aarch64": 275}.get(platform.machine())  # sched_getattr
    if not sys.platform.startswith("linux") or number is None:
        return None
    told = _Attributes()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, process, ctypes.byref(told), ctypes.sizeof(told), 0) != 0:
        return None
    return int(told.runtime_ns)
