"""freehold's gateway beside its peers: one run, one machine, one upstream, one load generator.

    python benchmarks/gateway/run.py [--quick] [--part NAME]… [--only NAME]… [--portkey FOLDER] [--litellm FOLDER]

Needs Linux with two cores, nginx and wrk (both from Debian), and granian, uvicorn, hypercorn, fastapi and httpx. FOLDER
is where ``npm i @portkey-ai/gateway`` was run, or an environment of its own with ``uv pip install --require-hashes -r
benchmarks/gateway/litellm.txt``. The gateway under test is pinned to core 0; the load generator and the
fake upstream share core 1. CPU time is that of all processes of a gateway. Prints Markdown; whole, it takes about seven
minutes. Parts:

    peers     CPU time, requests per second and memory of every gateway, plain and streaming
    latency   what the gateway adds at 500 requests a second
    holding   how late events of streams arrive, without a gateway, through nginx, through freehold
    streams   1,000 streams at once on one worker
    memory    over 200,000 requests and 20,000 clients that hang up
    shadow    the client's p99 with every request mirrored to a slower candidate, and without
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import load
import peers
import uvloop
from measure import PLAIN, PORT, STREAMS, memory_mb, quantile, running, settle, spent_ms, wrk
from upstream import ANSWER

Options = argparse.Namespace
TARGETS = (
    "wanted: at most 0.20 ms and 9 times nginx's CPU a request, 5,000 requests/s, a tenth of FastAPI + httpx, a sixth "
    "of the Node gateway; a stream within twice nginx's CPU"
)


def say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


def part_peers(folder: str, options: Options) -> None:
    say(
        "| gateway | CPU ms/request | × nginx | requests/s | p50 ms, 1 connection | CPU ms/100-chunk stream | × nginx "
        "| memory MB |",
        "|---|---|---|---|---|---|---|---|",
    )
    first: tuple[float, float] | None = None
    for peer in peers.all_peers(folder, options.portkey, options.litellm):
        # nginx always, for the ratios.
        if options.only and peer.name != "nginx" and not any(part in peer.name for part in options.only):
            continue
        plain_ms, rate, p50, memory = _plain(folder, peer, options.seconds)
        stream_ms = _streamed(folder, peer, options.seconds)
        first = first or (plain_ms, stream_ms or 0)
        times = f"{stream_ms:.2f} | {stream_ms / first[1]:.1f}" if stream_ms else "none answered well |"
        say(
            f"| {peer.name} | {plain_ms:.3f} | {plain_ms / first[0]:.1f} | {rate:,.0f} | {p50:.2f} | {times} | "
            f"{memory:.0f} |"
        )
    say("", TARGETS)


def _plain(folder: str, peer: peers.Peer, seconds: int) -> tuple[float, float, float, float]:
    """CPU ms a request, requests a second, p50 with one connection, memory."""
    extra = peer.extra.replace("PORT", str(PLAIN))
    with running(peer.plain, 0, PORT) as process:
        wrk(folder, 32, 1, "gpt-4o", extra=extra)
        settle(process)
        before = spent_ms(process)["all"]
        count, rate, _ = wrk(folder, 32, seconds, "gpt-4o", extra=extra)
        # What is written behind the answers counts too, and what is taken into the index once nothing else waits.
        settle(process)
        spent = (spent_ms(process)["all"] - before) / count
        _, _, p50 = wrk(folder, 1, max(1, seconds // 2), "gpt-4o", extra=extra)
        return spent, rate, p50, memory_mb(process)


def _streamed(folder: str, peer: peers.Peer, seconds: int) -> float | None:
    """CPU ms for a stream of 100 chunks; None where none was answered well in time."""
    extra = peer.extra.replace("PORT", str(STREAMS))
    with running(peer.streamed, 0, PORT) as process:
        try:
            wrk(folder, 32, 1, "stream-5", stream=True, extra=extra)
            settle(process)
            before = spent_ms(process)["all"]
            count, _, _ = wrk(folder, 32, seconds, "stream-5", stream=True, extra=extra)
        except RuntimeError:
            return None
        settle(process)
        return (spent_ms(process)["all"] - before) / count if count else None


def part_latency(folder: str, options: Options) -> None:
    """Direct and through the gateway by turns, so that what else the machine does falls on both."""
    direct: list[float] = []
    through: list[float] = []
    with running(peers.product(folder).plain, 0, PORT):
        uvloop.run(load.paced(PORT, 500, 1))
        for _ in range(4):
            direct += uvloop.run(load.paced(PLAIN, 500, options.seconds / 2))
            through += uvloop.run(load.paced(PORT, 500, options.seconds / 2))
    direct.sort()
    through.sort()
    say("| 500 requests/s | p50 ms | p99 ms |", "|---|---|---|")
    for name, values in (("without a gateway", direct), ("through freehold", through)):
        say(f"| {name} | {quantile(values, 0.5):.2f} | {quantile(values, 0.99):.2f} |")
    added = [quantile(through, share) - quantile(direct, share) for share in (0.5, 0.99)]
    say(f"| **added** (wanted: 0.5, 3) | **{added[0]:.2f}** | **{added[1]:.2f}** |")


def part_holding(folder: str, options: Options) -> None:
    say(
        "| 32 streams, an event each 5 ms: how late it arrives | p50 ms | p99 ms | latest ms |",
        "|---|---|---|---|",
    )
    for name, peer in (
        ("without a gateway", None),
        ("nginx", peers.nginx(folder)),
        ("freehold", peers.product(folder)),
    ):
        if peer is None:
            late = uvloop.run(load.delays(STREAMS, 32, options.rounds))
        else:
            with running(peer.streamed, 0, PORT):
                late = uvloop.run(load.delays(PORT, 32, options.rounds))
        say(f"| {name} | {quantile(late, 0.5):.2f} | {quantile(late, 0.99):.2f} | {late[-1]:.2f} |")


def part_streams(folder: str, options: Options) -> None:
    with running(peers.product(folder).streamed, 0, PORT) as process:
        before = spent_ms(process)["all"]
        ended, took = uvloop.run(load.streams(PORT, options.streams, "stream-50"))
        settle(process)
        spent = (spent_ms(process)["all"] - before) / options.streams
        say(
            f"{options.streams:,} streams at once on one worker: {ended:,} ended well in {took:.1f} s (5.0 s when "
            f"nothing waits), {spent:.2f} ms CPU each, {memory_mb(process):.0f} MB afterwards"
        )


def part_memory(folder: str, options: Options) -> None:
    with running(peers.product(folder).plain, 0, PORT) as process:
        found = [memory_mb(process)]
        done = 0
        for fourth in range(1, 5):
            while done < options.requests * fourth / 4:
                done += wrk(folder, 32, 2, "gpt-4o")[0]
            time.sleep(1)
            found.append(memory_mb(process))
    shown = ", ".join(f"{one:.0f}" for one in found)
    say(
        f"memory MB at the start and after each fourth of {done:,} requests: {shown} (wanted: at most 150, flat ± 5 %)"
    )
    with running(peers.product(folder).streamed, 0, PORT) as process:
        uvloop.run(load.hang_up(PORT, options.hang_ups // 10))
        found = [memory_mb(process)]
        for _ in range(4):
            uvloop.run(load.hang_up(PORT, options.hang_ups // 4))
            found.append(memory_mb(process))
    shown = ", ".join(f"{one:.0f}" for one in found)
    say(f"memory MB after a tenth, then each fourth of {options.hang_ups:,} clients that hang up: {shown}")


def part_shadow(folder: str, options: Options) -> None:
    """Off and on by turns. The incumbent answers at once, or as soon as a quick model would."""
    say("| shadow at 100 %, 200 requests/s | p99 ms off | p99 ms on | change |", "|---|---|---|---|")
    upstream = f"http://127.0.0.1:{STREAMS}"
    for model, candidate, name in (
        ("slow-50", "slow-200", "incumbent 50 ms, candidate 200 ms"),
        ("gpt-4o", "slow-50", "incumbent at once, candidate 50 ms"),
    ):
        found: dict[bool, list[float]] = {False: [], True: []}
        plain = [sys.executable, "product.py", str(PORT), upstream, folder]
        for on in (False, True) * 2:
            with running([*plain, upstream, candidate] if on else plain, 0, PORT):
                asked = "gpt-4o" if model == "gpt-4o" else model
                uvloop.run(load.paced(PORT, 200, 1, asked))
                found[on] += uvloop.run(load.paced(PORT, 200, options.seconds, asked))
        off, on_p99 = (quantile(sorted(found[on]), 0.99) for on in (False, True))
        say(f"| {name} | {off:.2f} | {on_p99:.2f} | {(on_p99 / off - 1) * 100:+.1f} % (wanted: under 5) |")


PARTS: dict[str, Callable[[str, Options], None]] = {
    "peers": part_peers,
    "latency": part_latency,
    "holding": part_holding,
    "streams": part_streams,
    "memory": part_memory,
    "shadow": part_shadow,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="See the file's first lines.")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works: two minutes")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--only", action="append", help="only peers with this in their name; may be repeated")
    parser.add_argument("--portkey", help="where npm installed @portkey-ai/gateway")
    parser.add_argument("--litellm", help="the environment that LiteLLM's proxy is installed in")
    parser.add_argument("--seconds", type=int, help="of each measurement under load")
    options = parser.parse_args()
    quick = options.quick
    options.seconds = options.seconds or (1 if quick else 4)
    options.rounds = 2 if quick else 8
    options.streams = 100 if quick else 1_000
    options.requests = 5_000 if quick else 200_000
    options.hang_ups = 400 if quick else 20_000
    os.sched_setaffinity(0, {1})
    started = time.monotonic()
    say(f"{platform.platform()}, Python {platform.python_version()}; {_processor()}; {_busy()}", "")
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "upstream.conf"
        conf.write_text(peers.UPSTREAM_CONF.format(folder=folder, answer=ANSWER.decode()))
        with (
            running(["nginx", "-c", str(conf)], 1, PLAIN),
            running([sys.executable, "upstream.py", str(STREAMS)], 1, STREAMS),
        ):
            for name in options.part or PARTS:
                say(f"### {name}", "")
                PARTS[name](folder, options)
                say("")
    say(f"took {time.monotonic() - started:.0f} s; {_busy()}")


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} × {found[1] if found else platform.machine()}"


def _busy() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
