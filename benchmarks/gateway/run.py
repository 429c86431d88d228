"""freehold's gateway beside its peers: one run, one machine, one upstream, one load generator.

    python benchmarks/gateway/run.py [--quick] [--portkey FOLDER]

Needs Linux with two cores, nginx and wrk (both from Debian), and fastapi. FOLDER is where
``npm i @portkey-ai/gateway`` was run. The gateway under test is pinned to core 0; the load generator and
the fake upstream share core 1. Prints a Markdown table; CPU time is that of all processes of a gateway.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import load
import psutil
import uvloop

HERE = Path(__file__).parent
PLAIN, STREAMS, PORT = 9500, 9501, 9511
UPSTREAM_CONF = """
worker_processes 1; pid {folder}/u.pid; error_log {folder}/u.err; daemon off;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; client_max_body_size 200m; client_body_buffer_size 64k;
server {{ listen 127.0.0.1:9500 backlog=1024; location / {{
default_type application/json; return 200 '{answer}'; }} }} }}
"""
PROXY_CONF = """
worker_processes 1; pid {folder}/p.pid; error_log {folder}/p.err; daemon off;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; client_max_body_size 200m;
upstream u {{ server 127.0.0.1:{upstream}; keepalive 1024; }}
server {{ listen 127.0.0.1:9511 backlog=1024; location / {{ proxy_pass http://u; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""
WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer fh-benchmark"
{extra}
wrk.body = [[{body}]]
"""


@contextlib.contextmanager
def running(command: list[str], core: int, port: int) -> Iterator[psutil.Process]:
    """A process pinned to a core, ready when its port accepts connections."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=HERE
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        time.sleep(2)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def cpu_s(process: psutil.Process) -> float:
    return float(sum(sum(one.cpu_times()[:2]) for one in family(process)))


def rss_mb(process: psutil.Process) -> float:
    """Memory as it adds up: pages that processes share count once (proportional set size)."""
    return float(sum(one.memory_full_info().pss for one in family(process)) / 1e6)


def wrk(
    folder: str, connections: int, seconds: float, model: str, *, stream: bool, extra: str
) -> tuple[int, float, float]:
    """Requests answered, requests per second, p50 in ms."""
    body = load.request(model, stream=stream).partition(b"\r\n\r\n")[2].decode()
    script = Path(folder) / "wrk.lua"
    script.write_text(WRK.format(body=body, extra=extra))
    said = subprocess.run(
        [
            *("taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}", "--latency"),
            *("--timeout", "30", "-s", str(script), f"http://127.0.0.1:{PORT}/v1/chat/completions"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if bad := re.search(r"Non-2xx.*|Socket errors.*", said):
        raise RuntimeError(bad[0])
    count = int(re.search(r"(\d+) requests in", said)[1])
    rate = float(re.search(r"Requests/sec: +([\d.]+)", said)[1])
    number, unit = re.search(r"50% +([\d.]+)(us|ms|s)", said).groups()
    return count, rate, float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def on_core_1() -> None:
    os.sched_setaffinity(0, {1})


def peers(folder: str, portkey: str | None) -> dict[str, tuple[list[str], list[str], str]]:
    """Name → command for plain answers, command for streams, extra wrk lines."""
    found: dict[str, tuple[list[str], list[str], str]] = {}
    for name, upstream in (("plain", PLAIN), ("streams", STREAMS)):
        (Path(folder) / f"{name}.conf").write_text(PROXY_CONF.format(folder=folder, upstream=upstream))
    found["nginx"] = (["nginx", "-c", f"{folder}/plain.conf"], ["nginx", "-c", f"{folder}/streams.conf"], "")

    def python(*words: str) -> tuple[list[str], list[str], str]:
        commands = [
            [sys.executable, *(word.replace("UPSTREAM", f"http://127.0.0.1:{port}") for word in words)]
            for port in (PLAIN, STREAMS)
        ]
        return commands[0], commands[1], ""

    found["freehold: keys, route, capture, metrics"] = python("product.py", str(PORT), "UPSTREAM", folder)
    for server in ("granian-rsgi", "granian-asgi", "uvicorn", "hypercorn"):
        found[f"bare pass-through: {server}, pyreqwest"] = python(
            "passthrough.py", server, "pyreqwest", str(PORT), "UPSTREAM"
        )
    for server in ("own", "granian-rsgi", "uvicorn"):
        found[f"bare pass-through: {server}, own"] = python(
            "passthrough.py", server, "own", str(PORT), "UPSTREAM"
        )
    for client in ("aiohttp", "httpx"):
        found[f"bare pass-through: granian-rsgi, {client}"] = python(
            "passthrough.py", "granian-rsgi", client, str(PORT), "UPSTREAM"
        )
    found["FastAPI + httpx"] = python("fastapi_httpx.py", str(PORT), "UPSTREAM")
    if portkey is not None:
        command = ["node", f"{portkey}/node_modules/@portkey-ai/gateway/build/start-server.js", "--headless"]
        command += [f"--port={PORT}"]
        extra = 'wrk.headers["x-portkey-provider"] = "openai"\nwrk.headers["x-portkey-custom-host"] = '
        # Plain and streamed answers come from two upstreams; the header names the one.
        found["@portkey-ai/gateway"] = (command, command, extra + '"http://127.0.0.1:PORT/v1"')
    return found


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--quick", action="store_true")
    options.add_argument("--portkey")
    options.add_argument("--only", action="append", help="part of a name in the table; may be repeated")
    asked = options.parse_args()
    seconds = 3.0 if asked.quick else 8.0
    on_core_1()
    with tempfile.TemporaryDirectory() as folder:
        answer = re.search(r"\{.*\}", load_answer())[0]
        conf = Path(folder) / "upstream.conf"
        conf.write_text(UPSTREAM_CONF.format(folder=folder, answer=answer))
        with (
            running(["nginx", "-c", str(conf)], 1, PLAIN),
            running([sys.executable, "upstream.py", str(STREAMS)], 1, STREAMS),
        ):
            table(folder, seconds, asked.portkey, asked.only)
            product(folder, seconds, quick=asked.quick)


def load_answer() -> str:
    from upstream import ANSWER

    return ANSWER.decode()


def table(folder: str, seconds: float, portkey: str | None, only: list[str] | None) -> None:
    print(
        "| gateway | CPU ms/request | requests/s | p50 ms, 1 connection | CPU ms/100-chunk stream | memory MB |"
    )
    print("|---|---|---|---|---|---|")
    for name, (plain, streamed, extra) in peers(folder, portkey).items():
        if only is not None and not any(part in name for part in only):
            continue
        with running(plain, 0, PORT) as process:
            more = extra.replace("PORT", str(PLAIN))
            wrk(folder, 32, 1, "gpt-4o", stream=False, extra=more)
            before = cpu_s(process)
            count, rate, _ = wrk(folder, 32, seconds, "gpt-4o", stream=False, extra=more)
            time.sleep(0.5)
            plain_ms = (cpu_s(process) - before) / count * 1000
            _, _, p50 = wrk(folder, 1, max(2, seconds / 2), "gpt-4o", stream=False, extra=more)
            memory = rss_mb(process)
        with running(streamed, 0, PORT) as process:
            more = extra.replace("PORT", str(STREAMS))
            try:
                wrk(folder, 32, 1, "stream-5", stream=True, extra=more)
                before = cpu_s(process)
                count, _, _ = wrk(folder, 32, seconds, "stream-5", stream=True, extra=more)
                time.sleep(0.5)
                stream_ms = f"{(cpu_s(process) - before) / count * 1000:.2f}"
            except RuntimeError as error:
                stream_ms = str(error)
        print(
            f"| {name} | {plain_ms:.3f} | {rate:,.0f} | {p50:.2f} | {stream_ms} | {memory:.0f} |", flush=True
        )


def product(folder: str, seconds: float, *, quick: bool) -> None:
    """What only the product is asked for: added latency, many streams, memory, hang-ups, shadow."""
    loop = uvloop.run
    direct = loop(load.paced(PLAIN, 500, seconds))
    upstream = f"http://127.0.0.1:{PLAIN}"
    with running([sys.executable, "product.py", str(PORT), upstream, folder], 0, PORT) as process:
        through = loop(load.paced(PORT, 500, seconds))
        for share in (0.5, 0.99):
            place = int(len(direct) * share)
            added = through[place] - direct[place]
            print(f"\nadded latency at 500 requests/s, p{share * 100:g}: {added:.2f} ms", end="")
        memory = [rss_mb(process)]
        for _ in range(4):
            wrk(folder, 32, 2 if quick else 8, "gpt-4o", stream=False, extra="")
            memory.append(rss_mb(process))
        print(f"\nmemory MB after each fourth of the load: {', '.join(f'{one:.0f}' for one in memory)}")
    upstream = f"http://127.0.0.1:{STREAMS}"
    with running([sys.executable, "product.py", str(PORT), upstream, folder], 0, PORT) as process:
        ended, took = loop(load.streams(PORT, 1000, "stream-50"))
        print(f"1,000 streams at once: {ended} ended well in {took:.1f} s (5.0 s when nothing waits)")
        loop(load.hang_up(PORT, 500))
        before = rss_mb(process)
        loop(load.hang_up(PORT, 2_000 if quick else 20_000))
        print(f"memory MB before and after hang-ups: {before:.0f}, {rss_mb(process):.0f}")
    p99 = {}
    for name, more in (("off", []), ("on", [f"http://127.0.0.1:{STREAMS}"])):
        command = [sys.executable, "product.py", str(PORT), f"http://127.0.0.1:{PLAIN}", folder, *more]
        with running(command, 0, PORT):
            latencies = loop(load.paced(PORT, 200, seconds))
            p99[name] = latencies[int(len(latencies) * 0.99)]
    print(f"client's p99 at 200 requests/s, shadow off and at 100 %: {p99['off']:.2f} ms, {p99['on']:.2f} ms")


if __name__ == "__main__":
    main()
