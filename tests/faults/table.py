"""The faults that are measured: what is done, for how long, and what ends it.

A fault without an `end` ends by itself (a process is replaced) and is watched for `hold_s`; the others last so long.
Moments, victims and numbers are drawn from the world's `random`, so that a seed replays them. `settings` are of the
`GatewayConfig`, `load` of `Clients`.
"""

import contextlib
import errno
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import psutil
from tests.faults import upstream
from tests.faults.measured_world import MeasuredWorld
from tests.faults.shim import OPEN, SYNC, TRUNCATE, WRITE

_DAYS_S = 86_400.0
_LONG = {"long_every": 4, "long_bytes": 600_000}
# The store's log is synced once some megabytes are in it.
_HEAVY = {"long_every": 2, "long_bytes": 120_000}


class Fault(NamedTuple):
    """See above. `about` is for the page."""

    about: str
    begin: Callable[[MeasuredWorld], Any]
    end: Callable[[MeasuredWorld], Any] | None = None
    hold_s: float = 2.0
    settings: dict[str, Any] = {}
    load: dict[str, Any] = {}


def kill_reader(world):
    """One of the processes that read long bodies, wherever they are below the workers."""
    readers = []
    for process in world.main().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "freehold.bounded.nursery" in process.cmdline():
                readers.append(process)
    if readers:
        world.random.choice(readers).kill()


def _stop_main(world):
    world.main().suspend()


def _resume_main(world):
    world.main().resume()


def _failing(kinds, error, **how):
    return lambda world: world.shim.fail(kinds, error, **how)


def _failing_once(kinds, error):
    """One call fails: the first to the thirtieth from now."""
    return lambda world: world.shim.fail(kinds, error, first=world.random.randint(1, 30), times=1)


def _slow(world):
    world.shim.slow(WRITE | SYNC, 0.05)


def _very_slow(world):
    world.shim.slow(WRITE | SYNC, 0.5)


def _read_only_disk(world):
    """Also what starts meanwhile finds it so."""
    world.shim.fail(WRITE | SYNC | TRUNCATE | OPEN, errno.EROFS)
    world.kill("recorder")
    world.kill("worker")


def _works(world):
    world.shim.works()


def _put_back(world):
    """As a person does who puts it back: the recorder, which may have the file open, starts again."""
    world.kill("recorder")
    world.copy_store("back", "copy")
    world.put_store("back")
    world.kill("recorder")


def _forwards(world):
    # Retention is applied as the recorder starts, and once a minute after.
    world.shim.step_clock(40 * _DAYS_S)
    world.kill("recorder")


def _backwards(world):
    world.shim.step_clock(-40 * _DAYS_S)


def _right(world):
    world.shim.step_clock(0)
    world.kill("recorder")


def _answers(world, answer):
    world.upstream.answer = answer


def _upstream(about, answer, **more):
    return Fault(
        about,
        lambda world: _answers(world, answer),
        lambda world: _answers(world, upstream.healthy),
        **more,
    )


def _limit(kind, room):
    """All workers may have `room` more of a resource than they have now."""

    def begin(world):
        for process in world.processes("worker"):
            has = process.num_fds() if kind == psutil.RLIMIT_NOFILE else process.memory_info().vms
            process.rlimit(kind, (has + room, process.rlimit(kind)[1]))

    def end(world):
        for process in world.processes("worker"):
            with contextlib.suppress(psutil.Error):
                hard = process.rlimit(kind)[1]
                process.rlimit(kind, (hard, hard))

    return begin, end


_files, _files_back = _limit(psutil.RLIMIT_NOFILE, 2)
_memory, _memory_back = _limit(psutil.RLIMIT_AS, 4 * 1024 * 1024)

FAULTS = {
    "kill a worker": Fault("SIGKILL", lambda world: world.kill("worker")),
    "kill the recorder": Fault("SIGKILL", lambda world: world.kill("recorder")),
    "kill the main process": Fault("SIGKILL, and a start as `freehold up` does it", MeasuredWorld.kill_main),
    "kill all processes": Fault("SIGKILL at once, and a start", MeasuredWorld.kill_all),
    "kill a reader of long bodies": Fault("SIGKILL", kill_reader, load=_LONG),
    "renew the workers": Fault("SIGUSR2", lambda world: world.main().send_signal(signal.SIGUSR2)),
    "stop a worker": Fault("SIGSTOP, not continued", lambda world: world.suspend("worker"), hold_s=6.0),
    "stop the recorder": Fault("SIGSTOP, not continued", lambda world: world.suspend("recorder"), hold_s=6.0),
    "stop the main process": Fault("SIGSTOP for 2 s", _stop_main, _resume_main),
    "store locked": Fault("for 2 s", MeasuredWorld.lock, MeasuredWorld.unlock),
    "store locked for long": Fault(
        "for 14 s, readers too", lambda world: world.lock("exclusive"), MeasuredWorld.unlock, hold_s=14.0
    ),
    "store removed": Fault(
        "its files; they are put back after 2 s", lambda world: world.move_store("copy"), _put_back
    ),
    "store full": Fault("ENOSPC at each write for 2 s", _failing(WRITE, errno.ENOSPC), _works),
    "store full, queue full": Fault(
        "ENOSPC for 4 s; there is room for 50 traces",
        _failing(WRITE, errno.ENOSPC),
        _works,
        hold_s=4.0,
        settings={"capture_queue": 50},
    ),
    "store read-only": Fault("EROFS at each write for 2 s", _failing(WRITE | OPEN, errno.EROFS), _works),
    "file system read-only": Fault(
        "EROFS at each change for 3 s, the recorder and a worker killed", _read_only_disk, _works, hold_s=3.0
    ),
    "store slow": Fault("50 ms more for each write for 4 s", _slow, _works, hold_s=4.0),
    "store very slow": Fault("500 ms more for each write for 6 s", _very_slow, _works, hold_s=6.0),
    "disk errors": Fault(
        "EIO at each call for 2 s", _failing(WRITE | SYNC | TRUNCATE | OPEN, errno.EIO), _works
    ),
    "one write without space": Fault("ENOSPC at the n-th write", _failing_once(WRITE, errno.ENOSPC), _works),
    "one failed write": Fault("EIO at the n-th write", _failing_once(WRITE, errno.EIO), _works),
    "one failed sync": Fault(
        "EIO at the next fsync", _failing(SYNC, errno.EIO, times=1), _works, hold_s=6.0, load=_HEAVY
    ),
    "clock forwards": Fault(
        "40 days for 6 s; traces are kept for 30",
        _forwards,
        _right,
        hold_s=6.0,
        settings={"retention_days": 30.0},
    ),
    "clock backwards": Fault(
        "40 days for 6 s; traces are kept for 30",
        _backwards,
        _right,
        hold_s=6.0,
        settings={"retention_days": 30.0},
    ),
    "upstream hangs": _upstream(
        "no answer for 4 s; the gateway waits for 1 s",
        upstream.hanging,
        hold_s=4.0,
        settings={"read_timeout_s": 1.0},
    ),
    "upstream resets": _upstream("before an answer, for 2 s", upstream.reset),
    "upstream breaks off": _upstream("within an answer, for 2 s", upstream.cut),
    "upstream sends garbage": Fault(
        "instead of HTTP, for 2 s",
        lambda world: _answers(world, upstream.garbage(world.random)),
        lambda world: _answers(world, upstream.healthy),
    ),
    "upstream drips": _upstream("answers in pieces, 1 s each, for 3 s", upstream.dripping, hold_s=3.0),
    "few descriptors": Fault(
        "2 more than each worker has, for 3 s", _files, _files_back, hold_s=3.0, load={"count": 24}
    ),
    "little memory": Fault(
        "4 MiB more than each worker has, for 3 s",
        _memory,
        _memory_back,
        hold_s=3.0,
        # The upstream is a process of Python, which takes a while for such a body on a busy machine.
        settings={"read_timeout_s": 10.0},
        load={"long_every": 5, "long_bytes": 8_000_000},
    ),
}
