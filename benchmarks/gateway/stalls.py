"""How long bodies of 62 MiB, or --mib, keep a worker's loop from anything else.

    python benchmarks/gateway/stalls.py [--mib N]

Needs nginx. A worker's application runs in this process; a process beside it sends one body after the other. Between
any two turns of the loop two clocks are read: time that passed, which other work on the machine makes longer, and
processor time of the loop's own thread, which it does not. Prints Markdown: the longest turn by both.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import multiprocessing
import os
import socket
import tempfile
import time
from pathlib import Path

import peers
import uvloop
from measure import PLAIN, running
from upstream import ANSWER

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.server import HttpServer
from freehold.gateway.worker import running as app_running
from freehold.types.endpoint import Endpoint, ServedModel

MIB = 1024 * 1024
_ASKED = b'{"model":"%b","messages":[{"role":"user","content":"%b"}]%b}'


def bodies(size: int) -> dict[str, bytes]:
    """Hostile and ordinary bodies of about `size` bytes."""
    many = b'{"role":"user","content":"a"},'
    return {
        "one long message": _ASKED % (b"rented", b"x" * size, b""),
        "the same for an engine": _ASKED % (b"engine", b"x" * size, b""),
        "many messages, for an engine": b'{"model":"engine","messages":[%b{"role":"user","content":"a"}]}'
        % (many * (size // len(many))),
        "numbers, streamed": _ASKED
        % (b"rented", b"a", b',"stream":true,"x":[' + b"1," * (size // 2) + b"1]"),
        "opened and never closed": b'{"model":"rented","x":' + b"[" * size,
        "not UTF-8": _ASKED % (b"rented", b"\xff" * size, b""),
    }


def send(port: int, body: bytes, status: multiprocessing.SimpleQueue[int]) -> None:
    """The client's process."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    asked.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    status.put(asked.getresponse().status)


async def longest(turning: asyncio.Event) -> tuple[float, float]:
    """The longest turn of the loop until the event is set: milliseconds that passed, and of processor time."""
    passed_s = used_s = 0.0
    before, before_used = time.monotonic(), time.thread_time()
    while not turning.is_set():
        await asyncio.sleep(0)
        now, used = time.monotonic(), time.thread_time()
        passed_s, used_s = max(passed_s, now - before), max(used_s, used - before_used)
        before, before_used = now, used
    return passed_s * 1000, used_s * 1000


async def measured(folder: str, size: int) -> None:
    upstream = f"http://127.0.0.1:{PLAIN}"
    served = {name: (ServedModel(name=name, upstream_name=name),) for name in ("rented", "engine")}
    endpoints = (
        Endpoint(name="rented", engine="remote", base_url=upstream, models=served["rented"]),
        Endpoint(name="engine", engine="vllm", base_url=upstream, models=served["engine"]),
    )
    config = GatewayConfig(endpoints=endpoints, store_url=f"sqlite:///{folder}/x.sqlite3", capture="raw")
    spawning = multiprocessing.get_context("spawn")
    async with app_running(config, Path(folder)) as app:
        app.state.keys = type(app.state.keys)(())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = HttpServer(app, app.state.memory)
            await server.listen(listener)
            gc.collect()
            gc.freeze()
            print(f"| a body of {size // MIB} MiB | status | longest turn, ms passed | ms of processor |")
            print("|---|---|---|---|")
            for name, body in bodies(size).items():
                status = spawning.SimpleQueue()
                sender = spawning.Process(target=send, args=(listener.getsockname()[1], body, status))
                await asyncio.to_thread(sender.start)
                done = asyncio.Event()
                watching = asyncio.create_task(longest(done))
                await asyncio.to_thread(sender.join)
                done.set()
                passed_ms, used_ms = await watching
                said = "none" if status.empty() else str(status.get())
                print(f"| {name} | {said} | {passed_ms:.0f} | {used_ms:.0f} |", flush=True)
            await server.drain(1)


def main() -> None:
    parser = argparse.ArgumentParser(description="See the file's first lines.")
    parser.add_argument("--mib", type=int, default=62)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "upstream.conf"
        conf.write_text(peers.UPSTREAM_CONF.format(folder=folder, answer=ANSWER.decode()))
        with running(["nginx", "-c", str(conf)], 1, PLAIN):
            uvloop.run(measured(folder, options.mib * MIB))
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
