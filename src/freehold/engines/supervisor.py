"""A supervised child process: on a port that is free, started, proven by a real completion, watched, restarted,
stopped; and why it ended, in words.

Covered: exits of any kind, hangs (no answer to ``/health`` for some 30 to 90 s), a parent that dies, a port that is
taken between choosing and binding, children that never become ready. Not covered: wrong answers. That is what
parity and evaluation are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from freehold import files
from freehold.engines import keys
from freehold.engines.engine import EngineHealth, State, endpoint_of
from freehold.environment import inherited
from freehold.errors import EngineError, StorageError, UsageError
from freehold.hardware import probes
from freehold.late import aiohttp
from freehold.processes import claim_port
from freehold.types.endpoint import Capabilities, Endpoint, ServePlan
from freehold.wire.base_url import is_loopback


def require_loopback(host: str, what: str) -> None:
    """Raise `UsageError` unless `host` is a loopback address: the gateway has TLS, limits and clients' keys."""
    if not is_loopback(host):
        raise UsageError(
            f"{what} would listen on {host}, where other machines can reach it past the gateway",
            hint="leave engines on 127.0.0.1 and open the gateway instead: freehold up --host",
        )


PROBE_SECONDS = 10.0


async def get_json(url: str, *, headers: dict[str, str] | None = None, seconds: float = PROBE_SECONDS) -> Any:
    """The JSON of a GET. Raises `aiohttp.ClientError`, `TimeoutError` or `ValueError`."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as reply:
        reply.raise_for_status()
        return await reply.json(content_type=None)


async def is_alive(url: str, *, seconds: float = PROBE_SECONDS) -> bool:
    """Whether anything answers a GET with status 200."""
    try:
        await get_json(url, seconds=seconds)
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
        return False
    return True


class ProbeError(Exception):
    """An engine answered a probe, but not with a completion. `retry` says whether it may yet."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


async def ask_completion(
    base_url: str,
    model: str,
    *,
    path: str = "/v1/chat/completions",
    seconds: float,
    headers: dict[str, str] | None = None,
) -> None:
    """Ask for one real token (or one embedding). Raises `ProbeError`, `aiohttp.ClientError` or `TimeoutError`."""
    body: dict[str, Any] = {"model": model, "input": "Hi"}
    if path != "/v1/embeddings":
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{base_url}{path}", json=body, headers=headers) as reply,
    ):
        text = await reply.text()
        if reply.status != 200:
            raise ProbeError(f"{reply.status}: {text[:300]}", retry=reply.status in (429, 500, 502, 503))


TAIL_BYTES = 8192

_MEMORY_WORDS = (
    "failed to allocate", "unable to allocate", "out of memory", "bad_alloc", "cannot allocate memory",
    "cuda error: out of memory", "memoryerror",
)  # fmt: skip


_LLAMA_ERROR = re.compile(r"^\d+\.\d\d\.\d{3}\.\d{3} E ")
"""How llama.cpp begins a line that tells an error: time since its start, level."""


def last_lines(log: Path, *, since: int = 0) -> list[str]:
    """The last lines of a log, not before byte `since`."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def why_ended(code: int, lines: list[str], *, memory_kill: bool) -> str:
    """One sentence: `code` is the exit code (negative: signal), `lines` what it said last."""
    said = [line for line in lines if any(word in line.lower() for word in _MEMORY_WORDS)]
    if memory_kill:
        return "it was killed by the kernel: out of memory"
    if said:
        return f"out of memory: {said[-1][:200]}"
    last = _decisive_line(lines, code)
    words = f": {last[:240]}" if last else ""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"it was ended by {name}{words}"
    return f"it exited with code {code}{words}"


def is_out_of_memory(reason: str) -> bool:
    """Whether a reason that `explain` gave says that memory ran out."""
    return "out of memory" in reason.lower()


def _decisive_line(lines: list[str], code: int) -> str | None:
    """The line most likely to say why: the first of llama.cpp's last run of errors, for what follows it are
    consequences; else the last error; for an exit without one, the last line."""
    last = next((n for n in range(len(lines) - 1, -1, -1) if _LLAMA_ERROR.match(lines[n])), None)
    if last is not None and code > 0:
        while last and _LLAMA_ERROR.match(lines[last - 1]):
            last -= 1
        return _LLAMA_ERROR.sub("", lines[last])
    for line in reversed(lines):
        low = line.lower()
        if "error" in low or "fail" in low or "exception" in low:
            return line
    return lines[-1] if lines and code > 0 else None


log = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 0.05
"""A first crash is answered at once; the pause triples from there."""
LONGEST_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""After this long without a crash, the next one is treated as the first again."""
GIVE_UP_AFTER = 8
"""Starts in a row that never became ready, after which the engine is called failed."""
HEALTH_INTERVAL_SECONDS = 5.0
HEALTH_SECONDS = 10.0
HEALTH_MISSES = 6
STOP_SECONDS = 8.0
LOG_BYTES = 20 << 20
"""Beyond it a log is set aside, and the one set aside before goes."""


class Program(NamedTuple):
    """What to run. `stdin` is written first; then the pipe is held open as the child's lifeline."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    stdin: bytes = b""


class SupervisedProcess:
    """A `RunningEngine` that is a child process."""

    def __init__(
        self,
        program: Callable[[int], Program],
        *,
        name: str,
        host: str,
        log_dir: Path,
        ready_seconds: float,
        probe_model: str,
        probe_path: str = "/v1/chat/completions",
        key_env: str | None = None,
    ) -> None:
        """`key_env` names the variable with the key that the program asks for; None where it asks for none."""
        self._program = program
        self._name = name
        self._host = host
        self._ready_seconds = ready_seconds
        self._probe_model = probe_model
        self._probe_path = probe_path
        self._key_env = key_env
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._state: State = "starting"
        self._restarts = 0
        self._last_crash: str | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._endpoint: Endpoint | None = None
        self.log = log_dir / f"{name}.log"
        self._log_start = 0

    @property
    def endpoint(self) -> Endpoint:
        assert self._endpoint is not None
        return self._endpoint

    @endpoint.setter
    def endpoint(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @property
    def base_url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def health(self) -> EngineHealth:
        process = self._process
        return EngineHealth(
            state=self._state,
            restarts=self._restarts,
            last_crash=self._last_crash,
            process_id=process.pid if process is not None and process.returncode is None else None,
        )

    @staticmethod
    def environment_of(program: Program) -> dict[str, str]:
        """The environment of an engine's process: its own settings, and no secret of the user's."""
        return {**inherited(os.environ), **program.environment}

    async def start(self, port: int) -> None:
        """First start: one try for a given port, three for a free one."""
        tries = 1 if port else 3
        for number in range(tries):
            self._port = claim_port(self._host, port)
            try:
                await self._launch()
                break
            except EngineError:
                taken = not port and any("bind" in line.lower() for line in self._log_tail())
                if not taken or number == tries - 1:
                    raise
                log.info("%s: port %d was taken meanwhile, trying another", self._name, self._port)
        self._state = "ready"
        log.info("%s: ready at %s", self._name, self.base_url)
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self._name}")

    async def stop(self) -> None:
        if self._state == "stopped":
            return
        self._state = "stopped"
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._end()
        log.info("%s: stopped", self._name)

    async def _launch(self) -> None:
        """Start the child and wait for a real completion. Raises `EngineError` with why there was none."""
        kills = probes.oom_kills()
        with self._open_log() as sink:
            program = self._program(self._port)
            self._process = await asyncio.create_subprocess_exec(
                *program.arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                env=self.environment_of(program),
                start_new_session=True,
            )
        log.debug(
            "%s: started %s on port %d, pid %d",
            self._name,
            program.arguments[0],
            self._port,
            self._process.pid,
        )
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(program.stdin)
            await self._process.stdin.drain()
        try:
            await self._until_ready(kills)
        except BaseException:
            await self._end()
            raise

    async def _until_ready(self, kills: int | None) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._ready_seconds
        pause = 0.02
        while True:
            if self._process.returncode is not None:
                reason = self._crash_reason(self._process.returncode, kills)
                raise EngineError(f"engine {self._name} did not start: {reason}", hint=f"its log: {self.log}")
            left = deadline - time.monotonic()
            if left <= 0:
                raise EngineError(
                    f"engine {self._name} was not ready after {self._ready_seconds:.0f} s",
                    hint=f"its log: {self.log}",
                )
            try:
                await ask_completion(
                    self.base_url,
                    self._probe_model,
                    path=self._probe_path,
                    seconds=left,
                    headers=keys.bearer(self._key_env),
                )
                return
            except ProbeError as answer:
                if not answer.retry:
                    raise EngineError(
                        f"engine {self._name} answers with an error: {answer}", hint=f"its log: {self.log}"
                    ) from None
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass  # not listening yet
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def _watch(self) -> None:
        """Restart the child whenever it ends or hangs, until stopped or beyond hope."""
        failures = 0
        backoff = FIRST_BACKOFF_SECONDS
        began = time.monotonic()
        kills = probes.oom_kills()
        while True:
            if self._state == "ready":
                self._last_crash = await self._until_down(kills)
                log.info("%s: down: %s", self._name, self._last_crash)
                if time.monotonic() - began > STEADY_SECONDS:
                    backoff = FIRST_BACKOFF_SECONDS
            self._state = "restarting"
            log.info("%s: starting again in %.2f s", self._name, backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 3, LONGEST_BACKOFF_SECONDS)
            kills = probes.oom_kills()
            self._restarts += 1
            try:
                await self._launch()
            except (EngineError, StorageError) as error:
                self._last_crash = error.message
                failures += 1
                log.info("%s: start %d of %d failed: %s", self._name, failures, GIVE_UP_AFTER, error.message)
                if failures >= GIVE_UP_AFTER:
                    self._state = "failed"
                    log.info("%s: given up", self._name)
                    return
                continue
            failures = 0
            began = time.monotonic()
            self._state = "ready"
            log.info("%s: ready again at %s", self._name, self.base_url)

    async def _until_down(self, kills: int | None) -> str:
        """Wait until the child ends, or make it end when it hangs; return why."""
        assert self._process is not None
        ended = asyncio.create_task(self._process.wait())
        misses = 0
        try:
            while True:
                done, _ = await asyncio.wait({ended}, timeout=HEALTH_INTERVAL_SECONDS)
                if done:
                    return self._crash_reason(ended.result(), kills)
                self._trim_log()
                misses = (
                    0 if await is_alive(f"{self.base_url}/health", seconds=HEALTH_SECONDS) else misses + 1
                )
                if misses >= HEALTH_MISSES:
                    await self._end()
                    return "it stopped answering and was ended"
        finally:
            ended.cancel()

    async def _end(self) -> None:
        """End the child: close its lifeline, ask, and insist."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                log.info("%s: did not end within %.0f s, killing it", self._name, STOP_SECONDS)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    def _crash_reason(self, code: int, kills: int | None) -> str:
        memory_kill = code == -signal.SIGKILL and probes.oom_killed_since(kills)
        return why_ended(code, self._log_tail(), memory_kill=memory_kill)

    def _log_tail(self) -> list[str]:
        return last_lines(self.log, since=self._log_start)

    def _trim_log(self) -> None:
        """Set aside what a running child has written beyond the size of a log. It goes on in the same file, now empty:
        it appends, wherever the end is."""
        with contextlib.suppress(OSError):  # a log that cannot be trimmed is not a reason to stop
            if self.log.stat().st_size > LOG_BYTES:
                shutil.copyfile(self.log, self.log.with_suffix(".1.log"))
                os.truncate(self.log, 0)
                self._log_start = 0

    def _open_log(self) -> BinaryIO:
        with files.writing(
            f"the engine's log cannot be written: {self.log}",
            hint="check the disk and the rights of the state folder",
        ):
            self.log.parent.mkdir(parents=True, exist_ok=True)
            if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
                self.log.replace(self.log.with_suffix(".1.log"))
            file = self.log.open("ab")
        self._log_start = file.seek(0, 2)
        return file


async def start_child(
    plan: ServePlan,
    program: Callable[[ServePlan], Program],
    *,
    name: str,
    log_dir: Path,
    key_env: str | None,
    ready_seconds: float,
    capabilities: Capabilities,
    probe_path: str = "/v1/chat/completions",
) -> SupervisedProcess:
    """Start the process that serves a plan, by the command that `program` makes of it once its port is chosen."""
    running = SupervisedProcess(
        lambda port: program(msgspec.structs.replace(plan, port=port)),
        name=name,
        host=plan.host,
        log_dir=log_dir,
        ready_seconds=ready_seconds,
        probe_model=plan.model,
        probe_path=probe_path,
        key_env=key_env,
    )
    await running.start(plan.port)
    running.endpoint = endpoint_of(plan, name, running.base_url, key_env=key_env, capabilities=capabilities)
    return running
