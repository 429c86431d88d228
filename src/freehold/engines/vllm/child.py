"""vLLM's server as a child process: it takes vLLM's arguments, and ends when the parent closes stdin.

Runs in vLLM's own environment, where freehold is not: only the standard library and vLLM may be imported here. vLLM
starts its engine in processes of their own; they are in this process's group and end with it, however it ends.
"""

import contextlib
import os
import signal
import sys
import threading
import time

GRACE_SECONDS = 6.0


def watch_parent() -> None:
    """End this process when the parent's end of stdin closes: by a request first, then by force."""
    lifeline = os.dup(0)
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)

    def read() -> None:
        while os.read(lifeline, 4096):
            continue
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=read, daemon=True, name="lifeline").start()


def guard_children() -> None:
    """A helper that outlives this process for a moment: when this end of its pipe closes, it ends the process group.

    vLLM's engine processes notice a clean end of their server. When the server is killed they may not, and would keep
    the memory.
    """
    ours, theirs = os.pipe()
    group = os.getpgrp()
    if os.fork() == 0:
        os.close(theirs)
        os.setsid()
        for stream in (0, 1, 2):
            with contextlib.suppress(OSError):
                os.close(stream)
        while os.read(ours, 4096):
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        os._exit(0)
    os.close(ours)
    os.set_inheritable(theirs, False)


def main() -> None:
    """Serve until asked to end."""
    guard_children()
    watch_parent()
    from vllm.entrypoints.cli.main import main as serve  # type: ignore[import-not-found,unused-ignore]

    sys.argv = ["vllm", "serve", *sys.argv[1:]]
    serve()


if __name__ == "__main__":
    main()
