"""The console before a store of a million traces: first paint, searches, pages of items, twenty open consoles.

    python -m benchmarks.console --folder /tmp/console              # all of it, about half an hour the first time
    python -m benchmarks.console --folder /tmp/console --part searches --repeat 20
    python -m benchmarks.console --folder /tmp/pg --url postgresql+psycopg://… --traces 100000 --part searches

The project is made in the folder with a seed (`benchmarks/trace_search.py` fills its store) and kept, so that a second
run measures at once; a day of traffic up to now is added where the newest trace is older than an hour. The console is
`freehold console` in a process of its own, the browser Debian's Chromium. `--part consoles` needs Linux with two cores
and a SQLite store. Prints Markdown; exits with 1 where a goal was missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.console import asking, pages
from benchmarks.console.open_consoles import CORES_GOAL, RATIO_GOAL, OpenConsoles, open_consoles
from benchmarks.console.project import console, made
from benchmarks.trace_search import Generator

PARTS = ("paint", "searches", "items", "consoles")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.console",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--url", help="another store than the SQLite file in the folder")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this, may be given again")
    parser.add_argument("--repeat", type=int, default=60, help="requests of a kind (default: 60)")
    parser.add_argument("--cold", type=int, default=5, help="cold starts of a screen (default: 5)")
    parser.add_argument("--warm", type=int, default=10, help="warm visits of a screen (default: 10)")
    parser.add_argument("--consoles", type=int, default=20)
    parser.add_argument("--turns", type=int, default=16, help="with and without open consoles (default: 16)")
    parser.add_argument(
        "--rate", type=int, default=400, help="requests a second to the gateway (default: 400)"
    )
    given = parser.parse_args()
    parts = given.part or PARTS
    project, took = made(given.folder, given.traces, given.items, given.url)
    for name, value in took.items():
        print(f"{name}: {value:,.1f}")
    print(f"\n{_machine()}\n")
    missed = []
    if "paint" in parts:
        missed += _painted(pages.painted(project, ("overview", "traffic", "proof"), given.cold, given.warm))
    if "searches" in parts or "items" in parts:
        with console(project) as served:
            if "searches" in parts:
                kinds = asking.searches(Generator(given.traces))
                missed += _asked("search", asking.asked(served, "traffic", kinds, given.repeat))
            if "items" in parts:
                missed += _asked("page", asking.asked(served, "proof", asking.items(), given.repeat))
    if "consoles" in parts:
        found = open_consoles(
            project,
            count=given.consoles,
            seconds=20.0,
            turns=given.turns,
            turn_s=4.0,
            per_second=given.rate,
        )
        missed += _consoles(found)
    print(f"Missed: {', '.join(missed) or 'nothing'}. Load at the end {os.getloadavg()[0]:.1f}.")
    return 1 if missed else 0


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model, load = next(named, platform.processor()), os.getloadavg()[0]
    today = datetime.now(UTC)
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}, {today:%Y-%m-%d}, load {load:.1f}"


def _painted(rows: list[pages.Painted]) -> list[str]:
    print(
        "| screen | first paint, ms | the record drawn, ms | processor time, ms | times |\n|---|---|---|---|---|"
    )
    for row in rows:
        print(
            f"| {row.screen}, {row.state} | {row.first_p50:.0f}, at most {row.first_most:.0f} | "
            f"{row.drawn_p50:.0f}, at most {row.drawn_most:.0f} | {row.cpu_p50:.0f} | {row.times} |"
        )
    print()
    return [f"{row.screen}, {row.state}" for row in rows if row.drawn_most > pages.FIRST_PAINT_MS]


def _asked(what: str, rows: list[asking.Asked]) -> list[str]:
    print(f"| {what} | p50, ms | p95, ms | at most | processor time, ms | answers without a row |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        times = f"{row.p50_ms:.1f} | {row.p95_ms:.1f} | {row.most_ms:.0f} | {row.cpu_ms:.0f}"
        print(f"| {row.kind} | {times} | {row.empty} of {row.times} |")
    print()
    return [row.kind for row in rows if row.p95_ms > asking.GOAL_MS]


def _consoles(found: OpenConsoles) -> list[str]:
    print("| open consoles | cores of the console's process | records a second |\n|---|---|---|")
    for name, cores in found.cores.items():
        print(f"| {name} | {cores:.3f} | {found.asked_a_second[name]:.1f} |")
    print(
        f"\nGateway at {found.requests_a_second} requests a second, {found.turns} turns: {found.with_ms:.4f} ms of "
        f"processor time a request with them, {found.without_ms:.4f} without, ratio {found.ratio:.3f} "
        f"({found.low:.3f} to {found.high:.3f}).\n"
    )
    missed = [name for name, cores in found.cores.items() if cores >= CORES_GOAL]
    return missed + (["the gateway beside them"] if found.ratio > RATIO_GOAL else [])


if __name__ == "__main__":
    sys.exit(main())
