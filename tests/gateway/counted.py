"""What a worker does for one request, counted: Python calls, C calls, functions, files.

Run as a program, for what a test has imported is not what a worker has; prints JSON.

The loop of a worker runs in the main thread, client and upstream in threads of their own, which `sys.setprofile` does
not see. What happens less often than once for nine of ten requests (clocks, beats) is left out: what is left is the
same number in every run.
"""

from __future__ import annotations

import asyncio
import collections
import json
import socket
import sys
import tempfile
import threading
from pathlib import Path

REQUESTS, CHUNKS = 200, 100
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"On its way."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,'
    b'"completion_tokens":3,"total_tokens":12}}'
)
EVENT = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"content":"so"},"finish_reason":null}]}\n\n'
)
_PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
_END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
_HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n"
    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
)


def _request(key: str, *, stream: bool) -> bytes:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Where is my parcel? " * 40}]}
    body = json.dumps(asked | ({"stream": True} if stream else {})).encode()
    return _HEAD.format(key, len(body)).encode() + body


def _read(taken: socket.socket, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        got += taken.recv(65536)
    return got


def _serve(listener: socket.socket) -> None:
    """One connection after the other; each chunk of a stream only when the client has the one before."""
    while True:
        taken, _ = listener.accept()
        threading.Thread(target=_answer, args=(taken,), daemon=True).start()


_seen = threading.Semaphore(0)


def _answer(taken: socket.socket) -> None:
    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        if b'"stream":' not in _read(taken, b"}]"):
            taken.sendall(_PLAIN + ANSWER)
            continue
        taken.sendall(_EVENTS)
        for _ in range(CHUNKS):
            taken.sendall(_CHUNK)
            _seen.acquire()
        taken.sendall(_END)


def _ask(port: int, data: bytes, count: int, *, stream: bool) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(count):
            client.sendall(data)
            if not stream:
                _read(client, ANSWER)
                continue
            got, chunks = b"", 0
            while not got.endswith(b"0\r\n\r\n"):
                got += client.recv(65536)
                for _ in range(got.count(EVENT) - chunks):
                    _seen.release()
                chunks = got.count(EVENT)


async def _counted(port: int, key: str, count: int, *, stream: bool = False) -> dict[str, float]:
    data = _request(key, stream=stream)
    await asyncio.to_thread(_ask, port, data, 20 if not stream else 2, stream=stream)
    calls: collections.Counter[tuple[str, str]] = collections.Counter()
    in_c: collections.Counter[str] = collections.Counter()

    def note(frame, event, argument):
        if event == "call":
            code = frame.f_code
            calls[code.co_filename, code.co_qualname] += 1
        elif event == "c_call":
            in_c[getattr(argument, "__qualname__", "?")] += 1

    sys.setprofile(note)
    await asyncio.to_thread(_ask, port, data, count, stream=stream)
    sys.setprofile(None)
    each = count * CHUNKS if stream else count
    often = {name: times for name, times in calls.items() if times >= 0.9 * each}
    if "--functions" in sys.argv:
        names = {f"{file.rpartition('freehold/')[2]} {name}": times for (file, name), times in often.items()}
        names |= {name: times for name, times in in_c.items() if times >= 0.9 * each}
        lines = [f"{times / each:6.2f} {name}\n" for name, times in sorted(names.items())]
        sys.stderr.write("".join(lines))
    return {
        "calls": round(sum(often.values()) / each, 1),
        "c_calls": round(sum(times for times in in_c.values() if times >= 0.9 * each) / each, 1),
        "functions": len(often),
        "files": len({file for file, _ in often if file.endswith(".py")}),
    }


async def main() -> None:
    from freehold.gateway.config import GatewayConfig
    from freehold.gateway.limits.keys import KeyRing, hash_of
    from freehold.gateway.worker import running, serving
    from freehold.types.endpoint import ANY_SERVED, Endpoint
    from freehold.types.route import ApiKey, Limits, Route, Target

    upstream = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(upstream,), daemon=True).start()
    limits = Limits(requests_per_minute=100_000, tokens_per_minute=100_000_000)
    keys = (
        ApiKey(name="plain", hash=hash_of("fh-plain")),
        ApiKey(name="limited", hash=hash_of("fh-limited"), limits=limits),
    )
    with tempfile.TemporaryDirectory() as folder:
        config = GatewayConfig(
            endpoints=(
                Endpoint(
                    name="incumbent",
                    engine="remote",
                    models=ANY_SERVED,
                    base_url=f"http://127.0.0.1:{upstream.getsockname()[1]}",
                ),
            ),
            routes=(Route(name="support", model="m", incumbent=Target(endpoint="incumbent")),),
            store_url=f"sqlite:///{folder}/store.sqlite3",
            capture="raw",
            api_keys=keys,
        )
        async with running(config, Path(folder)) as app:
            app.state.keys = KeyRing(keys, required=True)
            listener = socket.create_server(("127.0.0.1", 0))
            server = serving(app)
            await server.listen(listener)
            port = listener.getsockname()[1]
            told = {
                "plain": await _counted(port, "fh-plain", REQUESTS),
                "limited": await _counted(port, "fh-limited", REQUESTS),
                "chunk": await _counted(port, "fh-plain", 2, stream=True),
                "modules": sorted({name.partition(".")[0] for name in sys.modules}),
            }
            sys.stdout.write(json.dumps(told))
            await server.drain(0.1)


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
