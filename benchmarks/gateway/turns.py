"""Two checkouts of freehold and nginx by turns: the processor time a request costs each, process by process.

    git worktree add --detach /tmp/before COMMIT
    python benchmarks/gateway/turns.py /tmp/before [AFTER] [--turns N] [--seconds N] [--streams]

Needs Linux with two cores, nginx and wrk. All three run all the time on core 0, each before the same fake upstream,
and are asked in turns with `measure.wrk`, with a body that differs each time; load and upstream have core 1. CAPTURE
and LIMITS in the environment are as in `product.py`. Processor time is read from the kernel's scheduler in nanoseconds
(`/proc/PID/task/*/schedstat`), not in its ticks of ten milliseconds. After a turn the clock runs on until the recorder
has written what came. Other work on the machine makes all dearer: what counts is the ratio within a turn, told as the
median over the turns with a bootstrap interval of 95 %. Prints Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import peers
import psutil
from measure import HERE, PARTS, PLAIN, PORT, STREAMS, running, settle, spent_ms, wrk
from upstream import ANSWER

PORTS = (9521, 9522)
SIDES = ("before", "after", "nginx")
_VARIED = """
local n = 0
request = function() n = n + 1; return wrk.format(nil, nil, nil, (wrk.body:gsub("parcel", "parcel " .. n, 1))) end
"""
_RESAMPLES = 2000


def turn(folder: str, process: psutil.Process, port: int, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds a request (or a stream of 100 chunks) of each part."""
    model = "stream-5" if options.streams else "gpt-4o"
    before = spent_ms(process)
    count = wrk(
        folder, options.connections, options.seconds, model, stream=options.streams, port=port, extra=_VARIED
    )[0]
    settle(process)
    after = spent_ms(process)
    return {part: (after[part] - before[part]) / count for part in PARTS}


def kept(folder: str) -> int:
    """Traces in a gateway's store."""
    with contextlib.closing(sqlite3.connect(f"{folder}/freehold.sqlite3")) as store:
        return int(store.execute("SELECT sum(traces) FROM trace_blocks").fetchone()[0] or 0)


def interval(ratios: list[float]) -> tuple[float, float]:
    """The middle 95 % of the medians of resampled turns."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(_RESAMPLES))
    return medians[int(0.025 * _RESAMPLES)], medians[int(0.975 * _RESAMPLES)]


@contextlib.contextmanager
def gateway(checkout: Path, port: int, upstream: int, folder: str) -> Iterator[psutil.Process]:
    """The gateway of a checkout as its own benchmark starts it, but with its own source."""
    Path(folder).mkdir()
    product = checkout / "benchmarks" / "gateway" / "product.py"
    command = ["env", f"PYTHONPATH={checkout / 'src'}", sys.executable, str(product)]
    with running([*command, str(port), f"http://127.0.0.1:{upstream}", folder], 0, port) as process:
        yield process


def main() -> None:
    parser = argparse.ArgumentParser(description="See the file's first lines.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=HERE.parent.parent)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument(
        "--streams", action="store_true", help="streams of 100 chunks in place of plain answers"
    )
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    checkouts = (options.before.resolve(), options.after.resolve())
    upstream = STREAMS if options.streams else PLAIN
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        conf = Path(folder) / "upstream.conf"
        conf.write_text(peers.UPSTREAM_CONF.format(folder=folder, answer=ANSWER.decode()))
        stack.enter_context(running(["nginx", "-c", str(conf)], 1, PLAIN))
        stack.enter_context(running([sys.executable, "upstream.py", str(STREAMS)], 1, STREAMS))
        processes = {
            side: (stack.enter_context(gateway(checkout, port, upstream, f"{folder}/{side}")), port)
            for side, checkout, port in zip(SIDES[:2], checkouts, PORTS, strict=True)
        }
        proxy = peers.nginx(folder)
        words = proxy.streamed if options.streams else proxy.plain
        processes["nginx"] = (stack.enter_context(running(words, 0, PORT)), PORT)
        for number in range(-1, options.turns):
            for side in SIDES if number % 2 else SIDES[::-1]:
                one = turn(folder, *processes[side], options)
                if number >= 0:  # the first warms up
                    found[side].append(one)
        stored = [kept(f"{folder}/{side}") for side in SIDES[:2]]
    what = "a stream of 100 chunks" if options.streams else "a request"
    print(
        f"| CPU ms {what}, median of {options.turns} turns | before | after | after / before |\n|---|---|---|---|"
    )
    for part in ("worker", "recorder", "all"):
        before, after = ([one[part] for one in found[side]] for side in SIDES[:2])
        ratios = [late / early for early, late in zip(before, after, strict=True)]
        low, high = interval(ratios)
        print(
            f"| {part} | {statistics.median(before):.4f} | {statistics.median(after):.4f} | "
            f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f}) |"
        )
    for side in SIDES[:2]:
        ratios = [one["all"] / other["all"] for one, other in zip(found[side], found["nginx"], strict=True)]
        low, high = interval(ratios)
        print(f"\n{side} / nginx: {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})", end="")
    print(f"\n\nTraces kept: {stored[0]:,} and {stored[1]:,}; load {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
