"""Start a gateway on a core, put load on it, and read what it cost."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import load
import psutil

HERE = Path(__file__).parent
PLAIN, STREAMS, PORT = 9500, 9501, 9511
PARTS = ("worker", "recorder", "rest", "all")
_SETTLED_MS = 6.0  # idle it takes one to three
_WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer fh-benchmark"
{extra}
wrk.body = [[{body}]]
"""


@contextlib.contextmanager
def running(command: list[str], core: int, port: int, *, settle_s: float = 0.7) -> Iterator[psutil.Process]:
    """A process pinned to a core, ready when somebody behind its port answers."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=HERE
    )
    try:
        _wait_until_it_answers(process, port)
        time.sleep(settle_s)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with {process.returncode}")
        try:
            with (
                socket.create_connection(("127.0.0.1", port), 1),
                contextlib.suppress(urllib.error.HTTPError),
            ):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30)
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{process.args} does not answer")


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def spent_ms(process: psutil.Process) -> dict[str, float]:
    """Milliseconds of processor time of a gateway's processes so far, by what they are, and of all. From the kernel's
    scheduler, in nanoseconds (proc(5), schedstat), not in its ticks of ten milliseconds."""
    found = dict.fromkeys(PARTS, 0.0)
    for one in family(process):
        command = " ".join(one.cmdline())
        part = next((name for name in PARTS[:2] if f".{name}" in command), "rest")
        for task in Path(f"/proc/{one.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
                found[part] += int((task / "schedstat").read_text().split()[0]) / 1e6
    found["all"] = sum(found.values())
    return found


def settle(process: psutil.Process) -> None:
    """Wait until what came is written: until the recorder uses next to nothing for a fifth of a second."""
    deadline = time.monotonic() + 30
    before = spent_ms(process)["recorder"]
    while time.monotonic() < deadline:
        time.sleep(0.2)
        now = spent_ms(process)["recorder"]
        if now - before < _SETTLED_MS:
            return
        before = now


def memory_mb(process: psutil.Process) -> float:
    """Resident memory as it adds up: pages that processes share count once (proportional set size)."""
    return float(sum(one.memory_full_info().pss for one in family(process)) / 1e6)


def wrk(
    folder: str,
    connections: int,
    seconds: int,
    model: str,
    *,
    stream: bool = False,
    extra: str = "",
    port: int = PORT,
) -> tuple[int, float, float]:
    """Requests answered, requests per second, p50 in ms. Raises `RuntimeError` when any was not answered by 200."""
    body = load.request(model, stream=stream).partition(b"\r\n\r\n")[2].decode()
    script = Path(folder) / "wrk.lua"
    script.write_text(_WRK.format(body=body, extra=extra))
    said = subprocess.run(
        [
            *("taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency"),
            *("--timeout", "30", "-s", str(script), f"http://127.0.0.1:{port}/v1/chat/completions"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if bad := re.search(r"Non-2xx.*|Socket errors.*", said):
        raise RuntimeError(bad[0])
    count = int(_found(r"(\d+) requests in", said)[0])
    rate = float(_found(r"Requests/sec: +([\d.]+)", said)[0])
    number, unit = _found(r"50% +([\d.]+)(us|ms|s)", said)
    return count, rate, float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk said nothing like {pattern}: {text}")
    return match.groups()


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
