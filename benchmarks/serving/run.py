"""What serving through freehold costs and gains, on this machine.

    python -m benchmarks.serving.run                           # all parts, about twenty minutes
    python -m benchmarks.serving.run --quick --json out.json   # slices of three seconds: about ten
    python -m benchmarks.serving.run --only through,builds --seconds 8

Whatever is compared runs beside each other and is asked by turns, so other work slows both alike. Parts: through (the
gateway), builds (native and prebuilt), forms (prefix reuse and guessing ahead), adapters, crowded (training beside a
server), quantizations (and vLLM, where it is installed). Needs ``freehold engines install llamacpp``. Exit
code 1 when something wanted was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.serving.common import MODEL, Asked, Result
from freehold.errors import FreeholdError

PARTS = ("through", "builds", "forms", "adapters", "crowded", "quantizations")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, joined with commas")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--quick", action="store_true", help="slices of 3 s, and fewer quantizations")
    parser.add_argument("--seconds", type=float, help="length of one slice (default: 6)")
    parser.add_argument("--rounds", type=int, default=3, help="slices of each way")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    given = parser.parse_args()
    parts = [part.strip() for part in given.only.split(",") if part.strip()]
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; parts: {', '.join(PARTS)}")
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        seconds = given.seconds or (3.0 if given.quick else 6.0)
        asked = Asked(given.model, seconds, given.rounds, Path(folder), given.quick)
        for part in parts:
            print(f"· {part} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
            began = time.monotonic()
            try:
                measured = asyncio.run(importlib.import_module(f"benchmarks.serving.{part}").measure(asked))
            except FreeholdError as error:
                print(f"  not measured: {error} ({error.hint})", file=sys.stderr)
                continue
            results += measured
            show(measured)
            print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            if given.json is not None:
                given.json.write_text(json.dumps(_record(results), indent=1))
    return status(results)


def finish(results: list[Result], path: Path | None) -> int:
    """Show them, write them to `path` where there is one, and give the exit status."""
    show(results)
    if path is not None:
        path.write_text(json.dumps(_record(results), indent=1))
    return status(results)


def status(results: list[Result]) -> int:
    """1 where something that was wanted is missed."""
    return 0 if all(one.holds is not False for one in results) else 1


def show(results: list[Result]) -> None:
    """A table in Markdown."""
    print("\n| part | what | measured | wanted | |\n|---|---|---|---|---|")
    for one in results:
        holds = "" if one.holds is None else "met" if one.holds else "missed"
        detail = f" ({one.detail})" if one.detail else ""
        print(f"| {one.part} | {one.what} | {one.value:.2f} {one.unit}{detail} | {one.wanted} | {holds} |")
    sys.stdout.flush()


def _record(results: list[Result]) -> dict[str, object]:
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "results": [one._asdict() for one in results],
    }


if __name__ == "__main__":
    sys.exit(main())
