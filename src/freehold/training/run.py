"""The parent's side: start the worker, follow its events, say in one line why it ended."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Protocol

import msgspec

from freehold import files
from freehold.errors import InputError, TrainingError
from freehold.hardware import probes
from freehold.processes import RunningProcess, standing, this_process
from freehold.training import job as jobs
from freehold.training.artefacts import sha256_of
from freehold.training.worker import STOPPED
from freehold.types.training import Adapter, TrainingEvent

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 30.0
_ORPHAN_SECONDS = 300.0
"""How long a worker that lost its parent may take to its next step and its checkpoint."""

# Turns of libgomp's waiting loop, a fraction of a millisecond.
_BARRIER_SPINS = 20_000

# More than one step needs (about 80 with rows and blocks of few shapes).
_KEPT_SHAPES = 256


def finished_adapter(job: jobs.Job) -> Adapter | None:
    """This job's adapter, when it exists and its files are whole."""
    adapter = read_manifest(Path(job.adapter_dir))
    if adapter is None or adapter.metadata.get("job") != job.id:
        return None
    for name, digest in adapter.files.items():
        path = Path(adapter.path) / name
        if not path.is_file() or sha256_of(path) != digest:
            return None
    return adapter


def read_manifest(folder: Path) -> Adapter | None:
    """The manifest in a folder; None when there is none. Raises `InputError` when it can't be read."""
    path = folder / jobs.MANIFEST
    if not path.is_file():
        return None
    try:
        result = msgspec.json.decode(path.read_bytes(), type=Adapter)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"not an adapter's manifest: {error}", path=str(path)) from None
    return msgspec.structs.replace(result, path=str(folder))  # Folders may be moved.


class ChildJob(Protocol):
    """A job that a child process does, with its files under `run_dir`."""

    @property
    def run_dir(self) -> str: ...

    @property
    def program(self) -> str:
        """The module that does it; its argument is `run_dir`."""
        ...

    @property
    def threads(self) -> int | None: ...

    def with_less_memory(self) -> tuple[ChildJob, str] | None:
        """The same in less memory, and how; None at the end of it."""
        ...


def train(job: ChildJob) -> Generator[TrainingEvent]:
    """Train in a child process and yield its events as they come; at the end the adapter is on disk.

    Goes on from a checkpoint when the run directory has one. When the system kills the worker because memory
    ran out, a new one goes on from the last checkpoint with half as many tokens at once, in the end with activations
    computed twice instead of kept. Closing the iterator
    stops the worker, which then writes a checkpoint. Raises `TrainingError` with the reason when the worker
    does not finish, or where another process trains the same; a worker that outlived its parent is waited for.
    """
    with _only_run(Path(job.run_dir)) as lock:
        yield from lock.wait()
        yield from _until_done(job, lock)


def _until_done(job: ChildJob, lock: _RunLock) -> Generator[TrainingEvent]:
    while True:
        kills_before = probes.oom_kills()
        code, last_error = yield from _attempt(job, lock)
        if code == 0:
            return
        oom_killed = code == -signal.SIGKILL and probes.oom_killed_since(kills_before)
        thrifty = job.with_less_memory() if oom_killed else None
        if thrifty is None:
            raise _reason(code, last_error, Path(job.run_dir) / jobs.LOG, oom_killed=oom_killed)
        job, how = thrifty
        log.info("%s: killed for memory, starting again with less", Path(job.run_dir).name)
        yield TrainingEvent(
            kind="warning",
            message=f"the system killed the trainer because memory ran out; it starts again from its last "
            f"checkpoint {how}",
        )


class _RunLock:
    """The lock of a run's folder: the parent holds it, and lets its worker inherit it.

    So a worker whose parent was killed holds it until it has written its checkpoint and ended.
    """

    def __init__(self, file: IO[bytes], run: str) -> None:
        self.file, self._run = file, run

    def wait(self) -> Generator[TrainingEvent]:
        """Take it. Raises `TrainingError` when its holder lives, or its worker does not end."""
        began = time.monotonic()
        while not self._take():
            holder = self._holder()
            if holder is not None and standing(holder) == "alive":
                raise TrainingError(
                    f"{self._run} is being trained by process {holder.pid} on {holder.host}",
                    hint=f"wait for it, or stop it: kill {holder.pid}",
                )
            if time.monotonic() - began > _ORPHAN_SECONDS:
                raise TrainingError(
                    f"{self._run}: the trainer of a command that was killed still runs after "
                    f"{_ORPHAN_SECONDS:.0f} s",
                    hint="end it (freehold.training.worker with this run's folder in its arguments), then run again",
                )
            if time.monotonic() - began < _POLL_SECONDS:
                yield TrainingEvent(
                    kind="warning",
                    message="an earlier command was killed; its trainer writes a checkpoint before this one begins",
                )
            time.sleep(_POLL_SECONDS)
        self.file.truncate(0)
        os.pwrite(self.file.fileno(), msgspec.json.encode(this_process()), 0)

    def _take(self) -> bool:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _holder(self) -> RunningProcess | None:
        try:
            return msgspec.json.decode(os.pread(self.file.fileno(), 4096, 0), type=RunningProcess)
        except msgspec.MsgspecError:
            return None


@contextlib.contextmanager
def _only_run(run_dir: Path) -> Iterator[_RunLock]:
    with files.writing(f"cannot write to {run_dir}", hint="choose another folder, or free some space"):
        run_dir.mkdir(parents=True, exist_ok=True)
        path = run_dir / "lock"
        path.touch(mode=0o600)
        file = path.open("rb+", buffering=0)
    with file:
        yield _RunLock(file, run_dir.parent.name)


def _attempt(job: ChildJob, lock: _RunLock) -> Generator[TrainingEvent, None, tuple[int, str | None]]:
    """One worker from start to end; returns its exit code and its last error."""
    run_dir = Path(job.run_dir)
    with files.writing(f"cannot write to {run_dir}", hint="choose another folder, or free some space"):
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / jobs.JOB).write_bytes(msgspec.json.encode(job))
        events = run_dir / jobs.EVENTS
        events.touch()
        begin = events.stat().st_size
        sink = (run_dir / jobs.LOG).open("wb")
    with sink, events.open("rb") as lines:
        lines.seek(begin)
        worker = subprocess.Popen(
            [sys.executable, "-m", job.program, str(run_dir)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=_environment(job),
            pass_fds=(lock.file.fileno(),),
            start_new_session=True,  # Ctrl-C reaches the parent, which then asks the worker to stop.
        )
        log.info("%s: worker started, pid %d, its log is %s", run_dir.name, worker.pid, run_dir / jobs.LOG)
        last_error: str | None = None
        try:
            for event in _follow(worker, lines):
                if event.kind == "error":
                    last_error = event.message
                yield event
        finally:
            _stop(worker)
    log.info("%s: worker ended with %s", run_dir.name, worker.returncode)
    return worker.returncode, last_error


def _environment(job: ChildJob) -> dict[str, str]:
    environment = dict(os.environ)
    environment["HF_HUB_OFFLINE"] = "1"
    environment["TOKENIZERS_PARALLELISM"] = "false"
    environment["PYTHONUNBUFFERED"] = "1"
    # Threads that spin on at barriers are slowed by an order of magnitude when anything else wants a core; ones
    # that sleep at once are woken thousands of times a step.
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    environment.setdefault("GOMP_SPINCOUNT", str(_BARRIER_SPINS))
    # oneDNN keeps the code for a thousand shapes unless told otherwise, a few hundred KiB each.
    environment.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KEPT_SHAPES))
    if job.threads is not None:
        environment["OMP_NUM_THREADS"] = str(job.threads)
    # The worker must find the package the parent runs from, installed or not.
    root = str(Path(__file__).parents[2])
    paths = environment.get("PYTHONPATH", "")
    if root not in paths.split(os.pathsep):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, paths)))
    return environment


def _follow(worker: subprocess.Popen[bytes], lines: IO[bytes]) -> Iterator[TrainingEvent]:
    rest = b""
    while True:
        ended = worker.poll() is not None  # Asked before reading: what was written until then is read below.
        rest += lines.read()
        *complete, rest = rest.split(b"\n")
        for line in complete:
            if line:
                yield msgspec.json.decode(line, type=TrainingEvent)
        if ended:
            return
        time.sleep(_POLL_SECONDS)


def _stop(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        worker.terminate()
        try:
            worker.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            log.info("the worker did not stop within %.0f s, killing it", _GRACE_SECONDS)
            worker.kill()
            worker.wait()


def _reason(code: int, last_error: str | None, log: Path, *, oom_killed: bool) -> TrainingError:
    again = "run the same command again: training goes on from the last checkpoint"
    if last_error is not None:
        message, _, hint = last_error.partition("\n")
        return TrainingError(f"training stopped: {message}", hint=hint or again)
    if code == STOPPED:
        return TrainingError("training was asked to stop", hint=again)
    if code == -signal.SIGKILL:
        if oom_killed:
            return TrainingError(
                "training was killed: the machine ran out of memory",
                hint="take a smaller base, or lower train.max_tokens if some samples are very long",
            )
        return TrainingError("training was killed (SIGKILL), often for memory", hint=again)
    if code < 0:
        return TrainingError(f"training died of signal {signal.Signals(-code).name}", hint=again)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = lines[-1] if lines else "it said nothing"
    return TrainingError(f"the trainer failed (exit {code}): {said}", hint=f"all it said is in {log}")
