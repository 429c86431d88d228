"""`code`: the user's own Python callable scores, in a sandboxed process of its own.

Whose fault it is when the callable raises, crashes, hangs or goes beyond a limit is found out by putting the right
answer of the same sample to it. Where it fails on that as well, or gives it no points, the callable is at fault and
scoring stops; where it scores it, the answer is wrong. A return that cannot be a score (text, NaN, 2) is always a fault
of the callable.

Not covered: code that the callable runs *within its own process* may forge the score of its own answer. Run what a
model wrote in a process of its own (`subprocess`).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.machinery
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import psutil

from freehold.bounded.sandbox import LIMITS, SandboxState, enclosed, environment, sandbox_state
from freehold.errors import ConfigError, InputError
from freehold.evals.scorer import Options, Scorer, malformed, read_options, shortened, wrong
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, Score

_WORKER = Path(__file__).with_name("code_worker.py")
_STARTING_SECONDS = 30.0
_REPLY_BYTES = 1024 * 1024
_OUTPUT_BYTES = 8 * 1024 * 1024
"""What the function may print for one answer."""
_LOOK_SECONDS = 0.1
"""How often the process is looked at while it works. Most answers are scored before the first look."""
_KERNEL_COUNTS_BY_NAMESPACE = (5, 14)


class CodeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` for one answer by the clock; `memory_mib` for each process and for all together; how many processes."""

    seconds: float
    memory_mib: int
    processes: int


class CodeReply(msgspec.Struct):
    """What came back: a score, or why there is none. `path` and `line` are where an error was raised."""

    number: int | None = None
    ready: bool = False
    value: float | None = None
    reason: str | None = None
    format_ok: bool = True
    parts: dict[str, float] = {}
    error: str | None = None
    nonsense: str | None = None
    path: str | None = None
    line: int | None = None


class EndedError(Exception):
    """The process is gone, or was ended. The text starts with ``timeout``, ``over_limit`` or ``crashed``."""


class CodeProcess:
    """One process with one callable, for one event loop at a time. Not for use by two callers at once."""

    def __init__(
        self, target: str, limits: CodeLimits, sandbox: SandboxState, visible: Sequence[Path]
    ) -> None:
        self._target, self._limits, self._sandbox, self._visible = target, limits, sandbox, visible
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._received = bytearray()
        self._output: _Output | None = None
        self._temporary: str | None = None
        self._number = 0

    @property
    def is_running(self) -> bool:
        """Whether it was started and not ended."""
        return self._process is not None

    async def start(self) -> CodeReply:
        """Start it and load the callable; the reply says whether it is `ready`. Raises `EndedError`."""
        self._link, its = socket.socketpair()
        self._link.setblocking(False)
        self._received.clear()
        read, write = os.pipe()
        self._output = _Output(read)
        try:
            # Not in a thread: that cannot be cancelled, and would leave a process that nothing knows of.
            self._process = self._open(its, write)
        finally:
            its.close()
            os.close(write)
        return await self._watched(self._read(), _STARTING_SECONDS)

    async def ask(self, question: dict[str, Any]) -> CodeReply:
        """Have one answer scored. Raises `EndedError` when the process did not survive it."""
        assert self._output is not None
        self._number += 1
        self._output.written = 0
        message = msgspec.json.encode(question | {"number": self._number}) + b"\n"
        reply = await self._watched(self._exchange(message), self._limits.seconds)
        if reply.number != self._number:
            self.close()
            raise EndedError("crashed: the reply is not to the question")
        return reply

    def close(self) -> None:
        """End it with all that it started."""
        process, self._process = self._process, None
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._output is not None:
            self._output.close()
            self._output = None
        if process is not None:
            _kill(process)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _open(self, link: socket.socket, output: int) -> subprocess.Popen[bytes]:
        enclosing = self._sandbox.kind == "bubblewrap"
        if not enclosing:
            self._temporary = tempfile.mkdtemp(prefix="freehold-code-")
        # In a user namespace of its own the kernel counts its processes alone; else it would count all of the user's.
        counted = enclosing and _kernel() >= _KERNEL_COUNTS_BY_NAMESPACE
        limits = self._limits
        command = [
            *(sys.executable, "-P", str(_WORKER), self._target),
            *(str(limits.memory_mib), str(limits.processes if counted else 0), str(limits.seconds)),
        ]
        if enclosing:
            command = enclosed(
                command, flags=self._sandbox.flags, cwd=Path.cwd(), visible=[_WORKER, *self._visible]
            )
        return subprocess.Popen(
            command,
            stdin=link.fileno(),
            stdout=output,
            stderr=output,
            env=environment(os.environ, self._temporary or "/tmp"),  # noqa: S108 - its own, inside the sandbox
            start_new_session=True,
        )

    async def _exchange(self, message: bytes) -> CodeReply:
        assert self._link is not None
        with contextlib.suppress(ConnectionError):  # it has ended, which reading finds out
            await asyncio.get_running_loop().sock_sendall(self._link, message)
        return await self._read()

    async def _read(self) -> CodeReply:
        assert self._link is not None
        loop = asyncio.get_running_loop()
        while b"\n" not in self._received:
            if len(self._received) > _REPLY_BYTES:
                raise EndedError(f"over_limit: a reply of more than {_REPLY_BYTES:,} bytes")
            try:
                piece = await loop.sock_recv(self._link, 65536)
            except ConnectionError:
                piece = b""
            if not piece:
                raise EndedError(await self._crash())
            self._received += piece
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received[:] = rest
        try:
            return msgspec.json.decode(line, type=CodeReply)
        except msgspec.DecodeError as error:
            return CodeReply(number=self._number, nonsense=f"what can't be read: {error}")

    async def _watched(self, exchange: Coroutine[Any, Any, CodeReply], seconds: float) -> CodeReply:
        """The reply, unless it takes too long or the process takes too much meanwhile."""
        task = asyncio.ensure_future(exchange)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        try:
            while not task.done():
                left = until - loop.time()
                if left <= 0:
                    raise EndedError(f"timeout: longer than {seconds:g} s")
                await asyncio.wait([task], timeout=min(left, _LOOK_SECONDS))
                if not task.done() and (excess := await asyncio.to_thread(self._excess)) is not None:
                    raise EndedError(f"over_limit: {excess}")
            return task.result()
        except BaseException:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, EndedError):
                await task
            self.close()
            raise

    def _excess(self) -> str | None:
        """Which limit the process and those below it are beyond."""
        process, limits = self._process, self._limits
        if self._output is not None and self._output.written > _OUTPUT_BYTES:
            return f"more than {_OUTPUT_BYTES >> 20} MiB printed"
        if process is None:
            return None
        try:
            first = psutil.Process(process.pid)
            family = [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return None
        # Two are bubblewrap's own.
        if len(family) > limits.processes + (2 if self._sandbox.kind == "bubblewrap" else 0):
            return f"more than {limits.processes} processes"
        used = 0
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                used += one.memory_info().rss
        return f"more than {limits.memory_mib} MiB of memory" if used > limits.memory_mib << 20 else None

    async def _crash(self) -> str:
        """How the process has ended, and the last that it printed."""
        assert self._process is not None
        assert self._output is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, 2.0)
        code = self._process.returncode
        # Bubblewrap passes a signal on as 128 and its number, as shells do.
        number = -code if code is not None and code < 0 else (code or 0) - 128
        named = f"signal {signal.Signals(number).name}" if number in _SIGNALS else f"exit code {code}"
        return f"crashed: the process ended with {named}{self._output.tail()}"


_SIGNALS = {int(one) for one in signal.Signals}


class _Output:
    """What the process prints: counted, its end kept for messages, and not read on beyond the limit."""

    def __init__(self, pipe: int) -> None:
        self.written = 0
        self._end = b""
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._take)

    def _take(self) -> None:
        try:
            data = os.read(self._pipe, 65536)
        except BlockingIOError:
            return
        self.written += len(data)
        self._end = (self._end + data)[-500:]
        if not data or self.written > _OUTPUT_BYTES:
            self._loop.remove_reader(self._pipe)

    def tail(self) -> str:
        """The last that was printed, for a message."""
        last = self._end.decode(errors="replace").strip().splitlines()
        return f" ({last[-1]})" if last else ""

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.remove_reader(self._pipe)
        os.close(self._pipe)


def _kernel() -> tuple[int, ...]:
    parts = os.uname().release.split(".")[:2]
    return tuple(int(one) if one.isdigit() else 0 for one in parts)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and what is below it. Within bubblewrap the kernel ends all with the first; without, its group is ended at
    once, which no fork outruns, and those below it that left the group by name."""
    below = []
    with contextlib.suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for one in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.kill()
    process.wait()


_REASON_CHARACTERS = 300


class CodeOptions(Options, frozen=True, kw_only=True):
    """`callable` is ``module:function`` or ``path/to/file.py:function``, called as ``function(answer, reference,
    sample)`` with `sample` a dict. It returns a number in [0, 1], a bool, None (unscored), or a dict with
    ``value`` and maybe ``reason``, ``format_ok`` and ``parts``.

    `seconds` is the time for one answer by the clock, `memory_mib` the memory of each process and of all together,
    `processes` how many there may be. In the sandbox the callable sees its own file or package and what `files` names.
    `sandbox`: ``auto`` takes what this machine has, ``required`` refuses without bubblewrap, ``limits`` does without.
    """

    callable: str
    files: tuple[str, ...] = ()
    seconds: float = 10.0
    memory_mib: int = 1024
    processes: int = 32
    sandbox: Literal["auto", "required", "limits"] = "auto"
    binary: bool = False


class _Failed(NamedTuple):
    """That there is no score: `kind` is ``raised``, ``crashed``, ``timeout``, ``over_limit`` or ``nonsense``."""

    kind: str
    what: str
    path: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        return "" if self.path is None else f" ({Path(self.path).name}:{self.line})"


class CodeScorer(Scorer):
    """What the callable says."""

    name = "code"
    needs_reference = False
    right_by_agreement = False

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, CodeOptions)
        place, colon, function = self.options.callable.rpartition(":")
        if not colon or not place or not function.isidentifier():
            raise ConfigError(
                f"scorer code: callable is {self.options.callable!r}",
                hint="write module:function or path/to/file.py:function",
            )
        self.binary = self.options.binary
        self._state = _state(self.options)
        visible = [*_files_of(place), *(_there(one) for one in self.options.files)]
        limits = CodeLimits(
            seconds=self.options.seconds,
            memory_mib=self.options.memory_mib,
            processes=self.options.processes,
        )
        self._process = CodeProcess(self.options.callable, limits, self._state, visible)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.Lock | None = None
        self._has_scored = False
        self._fair: set[str] = set()
        """The samples whose right answer the callable scored after it had failed on another one."""

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        """Raises `InputError` with the place where the callable itself is at fault, `ConfigError` where it can't be
        loaded."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._turn is None:
            self._process.close()
            self._loop, self._turn = loop, asyncio.Lock()
        async with self._turn:
            said = await self._put(sample, answer, reference)
            if isinstance(said, Score):
                return said
            if said.kind == "nonsense":
                raise self._fault(said, f"returned {said.what} for an answer to sample {sample.id}")
            return await self._blamed(said, sample, reference)

    async def _blamed(self, failed: _Failed, sample: Sample, reference: str | None) -> Score:
        """The score of an answer on which the callable failed, by what it makes of the right one."""
        if sample.gold is None:
            if not self._has_scored:
                return Score(
                    value=None,
                    reason=f"not_decided: {failed.kind}: {shortened(failed.what, 200)}{failed.place}; there is no "
                    "right answer to try the function on, and it has scored nothing yet",
                )
        elif (fault := await self._fault_on_the_right_one(failed, sample, reference)) is not None:
            raise fault
        reason = f"answer_{failed.kind}: {shortened(failed.what, 200)}{failed.place}"
        return malformed(reason) if failed.kind == "raised" else wrong(reason)

    async def _fault_on_the_right_one(
        self, failed: _Failed, sample: Sample, reference: str | None
    ) -> InputError | None:
        """The fault of the callable where it does not score the right answer either; asked once a sample."""
        assert sample.gold is not None
        if sample.id in self._fair:
            return None
        made = await self._put(sample, sample.gold, reference)
        if isinstance(made, _Failed):
            return self._fault(made, f"fails on sample {sample.id} with its right answer as well")
        if not made.value:
            points = "no score" if made.value is None else "0 points"
            return self._fault(
                failed,
                f"fails on an answer to sample {sample.id}, and gives {points} to the right one",
            )
        self._fair.add(sample.id)
        return None

    def _fault(self, failed: _Failed, what: str) -> InputError:
        path, _, function = self.options.callable.rpartition(":")
        said = "" if failed.kind == "nonsense" else f": {failed.what}"
        return InputError(
            f"scorer code: {function}() {what}{said}",
            path=failed.path or path,
            line=failed.line,
            hint=self._hint(failed.what) or "mend the function; it has to score every right answer",
        )

    def _hint(self, what: str) -> str | None:
        closed = ("FileNotFoundError", "ModuleNotFoundError", "PermissionError")
        if self._state.kind == "bubblewrap" and what.startswith((*closed, "OSError: [Errno 30]", "gaierror")):
            return (
                "in the sandbox a function sees its own file or package, read-only, and no network; name what else it "
                'reads: [task.options] files = ["PATH"]'
            )
        return None

    async def _put(self, sample: Sample, answer: str, reference: str | None) -> Score | _Failed:
        """What the callable makes of one answer. Where the process ended on it and had scored others before, it is
        tried once more in a new one: what an earlier answer left behind is not its fault."""
        is_new = not self._process.is_running
        try:
            if is_new:
                await self._start()
            reply = await self._process.ask({"sample": sample, "answer": answer, "reference": reference})
        except EndedError as error:
            if not is_new:
                return await self._put(sample, answer, reference)
            kind, _, what = str(error).partition(": ")
            return _Failed(kind, what)
        except BaseException:
            self._process.close()
            raise
        return self._read(reply)

    def _read(self, reply: CodeReply) -> Score | _Failed:
        if reply.error is not None:
            return _Failed("raised", reply.error, reply.path, reply.line)
        if reply.nonsense is not None:
            return _Failed("nonsense", reply.nonsense)
        if self.binary and reply.value not in (0.0, 1.0, None):
            return _Failed("nonsense", f"{reply.value} where options.binary promises 0 or 1")
        if reply.value is not None:
            self._has_scored = True
        reason = None if reply.reason is None else shortened(reply.reason, _REASON_CHARACTERS)
        if reply.value is None and reason is None:
            reason = "unscored: the function returned None"
        return Score(value=reply.value, reason=reason, format_ok=reply.format_ok, parts=reply.parts)

    async def _start(self) -> None:
        what, where = "", ""
        try:
            reply = await self._process.start()
            if reply.ready:
                return
            what = reply.error or ""
            where = "" if reply.path is None else f" ({reply.path}:{reply.line})"
        except EndedError as error:
            what = str(error)
        self._process.close()
        raise ConfigError(
            f"scorer code: {self.options.callable} can't be loaded: {what}{where}",
            hint=self._hint(what) or "import it in Python the same way to see where it fails",
        )

    async def close(self) -> None:
        """End the process."""
        self._process.close()

    @classmethod
    def own_notes(
        cls, options: dict[str, Any], incumbent: Sequence[EvalResult], candidate: Sequence[EvalResult]
    ) -> list[str]:
        held = cls.own_sandbox(options)
        return [] if held == "bubblewrap" else [f"Your scorer ran with {held}."]

    @classmethod
    def own_sandbox(cls, options: dict[str, Any]) -> str | None:
        return _state(read_options(cls.name, options, CodeOptions)).name


def _state(options: CodeOptions) -> SandboxState:
    """What holds the callable. Raises `ConfigError` where more is required than there is."""
    state = LIMITS if options.sandbox == "limits" else sandbox_state()
    if options.sandbox == "required" and state.kind != "bubblewrap":
        raise ConfigError(f"scorer code: sandbox is required, and {state.why}", hint=state.fix)
    return state


def _files_of(place: str) -> list[Path]:
    """The file or package of a callable. Raises `ConfigError` where it is not to be found."""
    if place.endswith(".py"):
        return [_there(place)]
    top = place.partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(top, [str(Path.cwd())]) or _found(top)
    if spec is None:
        raise ConfigError(
            f"scorer code: there is no module {top}",
            hint="write path/to/file.py:function, or run freehold in the folder of the module",
        )
    folders = [Path(one) for one in spec.submodule_search_locations or ()]
    return folders or ([Path(spec.origin)] if spec.has_location and spec.origin else [])


def _found(top: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(top)
    except ValueError:  # loaded from nowhere, such as __main__
        return None


def _there(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise ConfigError(f"scorer code: {name}: no such file", hint="the path is relative to where you are")
    return path
