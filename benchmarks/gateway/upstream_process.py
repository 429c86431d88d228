"""The fake upstream of the benchmarks (`upstream`), as a process of its own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from freehold.processes import claim_port


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """Its URL, for as long as the block runs."""
    port = claim_port()
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("upstream.py")), str(port)])
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > end:
                raise SystemExit("the upstream did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
