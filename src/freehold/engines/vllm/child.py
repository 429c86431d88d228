"""vLLM's server as a child process: it takes vLLM's arguments, and ends when the parent closes stdin.

Runs in vLLM's own environment, where freehold is not: only the standard library and vLLM may be imported here. vLLM
starts its engine in processes of their own; they are in this process's group and end with it, however it ends.
"""

import contextlib
import hmac
import os
import signal
import sys
import threading
import time

GRACE_SECONDS = 6.0
_GUARD_MODULE = "freehold_guard"
GUARD = f"{_GUARD_MODULE}.KeyGuard"
"""What ``--middleware`` is given: this module, under a name that vLLM can import."""
OPEN_PATHS = ("/health", "/ping")


class KeyGuard:
    """Asks for the key at every path but the one that says whether the engine is alive.

    vLLM's own check (0.32, `AuthenticationMiddleware`) covers ``/v1`` alone: ``/invocations``, ``/tokenize``,
    ``/metrics`` and ``/sleep`` are answered to everybody.
    """

    def __init__(self, app):  # type: ignore[no-untyped-def]
        self._app = app
        self._expected = b"Bearer " + os.environ["VLLM_API_KEY"].encode()

    async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
        said = b"".join(value for name, value in scope.get("headers", ()) if name == b"authorization")
        is_open = scope["type"] == "lifespan" or scope.get("path") in OPEN_PATHS
        if is_open or hmac.compare_digest(said, self._expected):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            body = (
                b'{"error":{"message":"this engine answers to the program that started it; ask the gateway",'
                b'"type":"authentication_error","code":"invalid_api_key"}}'
            )
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": body})


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

    sys.modules[_GUARD_MODULE] = sys.modules["__main__"]
    sys.argv = ["vllm", "serve", *sys.argv[1:]]
    serve()


if __name__ == "__main__":
    main()
