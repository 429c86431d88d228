"""Run a program that dies with its parent: ``python -m freehold.engines.lifeline PROGRAM ARGUMENT…``

The parent holds the other end of this process's stdin. When it closes, however the parent ended, the program is told to
end, and killed 5 seconds later. The exit code is the program's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 5.0


def watch_parent(stop: threading.Event) -> None:
    """Set `stop` when the parent's end of stdin closes."""

    def read() -> None:
        while os.read(0, 4096):
            continue
        stop.set()

    threading.Thread(target=read, daemon=True, name="lifeline").start()


def main(arguments: list[str]) -> int:
    """Run `arguments` as a program until it ends or the parent does."""
    stop = threading.Event()
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    watch_parent(stop)
    while process.poll() is None:
        if stop.wait(0.2):
            process.terminate()
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    code = process.returncode
    if code < 0:  # die the way it died, so that the parent sees the same signal
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
