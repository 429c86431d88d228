"""The sandboxed process of the `code` scorer: warm, fed answers one by one, watched, and ended when it goes too far."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from freehold.bounded.sandbox import SandboxState, enclosed, environment

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
