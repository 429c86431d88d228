"""Why a child process ended, in words: signals, memory, what it said last."""

from __future__ import annotations

import re
import signal
from pathlib import Path

TAIL_BYTES = 8192

_MEMORY_WORDS = (
    "failed to allocate", "unable to allocate", "out of memory", "bad_alloc", "cannot allocate memory",
    "cuda error: out of memory", "memoryerror",
)  # fmt: skip


_LLAMA_ERROR = re.compile(r"^\d+\.\d\d\.\d{3}\.\d{3} E ")
"""How llama.cpp begins a line that tells an error: time since its start, level."""


def tail(log: Path, *, since: int = 0) -> list[str]:
    """The last lines of a log, not before byte `since`."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def explain(code: int, lines: list[str], *, memory_kill: bool) -> str:
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


def is_memory(reason: str) -> bool:
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
