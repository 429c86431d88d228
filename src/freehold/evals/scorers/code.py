"""`code`: the user's own Python callable scores, in a process of its own with limits.

Covered: time, memory and CPU limits (where the platform has them), output of the callable kept away from the
answer, a new process after a crash. Not covered: a callable that means harm; it runs with the user's rights.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

from freehold.errors import ConfigError
from freehold.evals.scorer import Options, Scorer, read_options, shortened
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score

_WORKER = Path(__file__).with_name("code_worker.py")
_STARTING_SECONDS = 60.0


class CodeOptions(Options, frozen=True, kw_only=True):
    """`callable` is ``module:function`` or ``path/to/file.py:function``, called as ``function(answer, reference,
    sample)`` with `sample` a dict. It returns a number in [0, 1], a bool, None (unscored), or a dict with
    ``value`` and maybe ``reason``, ``format_ok`` and ``parts``.

    `seconds` is the time for one answer, `memory_mib` the address space of the process. A `timeout` is
    ``unscored``, or ``wrong`` where hanging is the answer's own fault.
    """

    callable: str
    seconds: float = 10.0
    memory_mib: int = 1024
    timeout: Literal["unscored", "wrong"] = "unscored"
    binary: bool = False


class _Reply(msgspec.Struct):
    ready: bool = False
    value: float | None = None
    reason: str | None = None
    format_ok: bool = True
    parts: dict[str, float] = {}
    error: str | None = None


class CodeScorer(Scorer):
    """What the callable says. What it can't say (it raises, crashes, returns no number) is unscored."""

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
        if place.endswith(".py") and not Path(place).is_file():
            raise ConfigError(
                f"scorer code: {place}: no such file", hint="the path is relative to where you are"
            )
        self.binary = self.options.binary
        self._process: asyncio.subprocess.Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.Lock | None = None

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._turn is None:
            self._loop, self._turn, self._process = loop, asyncio.Lock(), None
        async with self._turn:
            try:
                reply = await self._ask({"sample": sample, "answer": answer, "reference": reference})
            except TimeoutError:
                await self.close()
                said = f"timeout: the callable took longer than {self.options.seconds:g} s"
                return Score(value=0.0 if self.options.timeout == "wrong" else None, reason=said)
            except (EOFError, ConnectionError, BrokenPipeError):
                code = await self._ended()
                return Score(value=None, reason=f"grader_crashed: the callable's process ended with {code}")
            except BaseException:
                await self.close()
                raise
        if reply.error is not None:
            return Score(value=None, reason=f"grader_failed: {shortened(reply.error, 200)}")
        if reply.value is not None and not 0.0 <= reply.value <= 1.0:
            return Score(value=None, reason=f"grader_failed: {reply.value} is not between 0 and 1")
        if self.binary and reply.value not in (0.0, 1.0, None):
            return Score(
                value=None, reason=f"grader_failed: {reply.value} where options.binary promises 0 or 1"
            )
        if reply.value is None and reply.reason is None:
            return Score(value=None, reason="unscored: the callable returned None")
        return Score(value=reply.value, reason=reply.reason, format_ok=reply.format_ok, parts=reply.parts)

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if process.stdin is not None:
                process.stdin.close()
            transport = getattr(process, "_transport", None)
            if transport is not None:
                transport.close()

    async def _ended(self) -> int:
        process = self._process
        assert process is not None
        code = await process.wait()
        await self.close()
        return code

    async def _ask(self, question: dict[str, Any]) -> _Reply:
        if self._process is None:
            await self._start()
        return await asyncio.wait_for(self._exchange(question), self.options.seconds)

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_WORKER),
            self.options.callable,
            str(self.options.memory_mib),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
            start_new_session=os.name == "posix",
        )
        reply = await asyncio.wait_for(self._read(), _STARTING_SECONDS)
        if not reply.ready:
            await self.close()
            raise ConfigError(
                f"scorer code: {self.options.callable} can't be loaded: {reply.error}",
                hint="import it in Python the same way to see where it fails",
            )

    async def _exchange(self, question: dict[str, Any]) -> _Reply:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(question) + b"\n")
        await self._process.stdin.drain()
        return await self._read()

    async def _read(self) -> _Reply:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise EOFError
        return msgspec.json.decode(line, type=_Reply)
