"""``python -m tests.faults [NAME ...] --seed S --times N``: measure what faults do to a gateway.

Real processes, a real store, clients that ask all the time. Without a name all faults are done. The same seed draws
the same moments, victims and numbers. Exits with 1 when a fault costs more than its bound.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import shlex
import sys
import tempfile
from pathlib import Path

from tests.faults import kills, shim
from tests.faults.bounds import broken
from tests.faults.measure import measure
from tests.faults.page import kills_sentence, terminal_line, write_kills, write_page
from tests.faults.table import FAULTS
from tests.gateway.loopback import FakeUpstream

EXAMPLES = """examples:
  python -m tests.faults --list
  python -m tests.faults "kill a worker" "store full" --seed 7 --times 20
  python -m tests.faults --times 10 --page       # regenerates docs/reliability.md
  python -m tests.faults --kills 1000 --page     # kills one process after the other
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", help="faults (default: all)")
    parser.add_argument("--seed", type=int, default=13, help="draws what is drawn (default: 13)")
    parser.add_argument("--times", type=int, default=1, help="how often each fault happens (default: 1)")
    parser.add_argument(
        "--kills",
        type=int,
        metavar="N",
        help="kill N times, whichever process is drawn, instead of faults by name",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each fault")
    parser.add_argument("--page", action="store_true", help="write the table of docs/reliability.md")
    parser.add_argument("--list", action="store_true", help="name the faults, and end")
    given = parser.parse_args()
    if given.list:
        for name, fault in FAULTS.items():
            print(f"{name:<30}{fault.about}")
        return 0
    if unknown := set(given.name) - set(FAULTS):
        parser.error(f"unknown fault {', '.join(sorted(unknown))}; --list names them")
    if given.times < 1:
        parser.error(f"--times is {given.times}, expected 1 or more")
    if given.page and given.name:
        parser.error("--page is of all faults: leave the names out")
    if given.kills is not None and (given.kills < 1 or given.name):
        parser.error("--kills takes a number of 1 or more, and no names")
    if why := shim.why_not():
        print(f"error: the faults cannot be done here: {why}", file=sys.stderr)
        return 1
    # An upstream that breaks off would be reported with a traceback each time.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    if given.kills is not None:
        return _kill(given)
    results = []
    upstream = FakeUpstream()
    try:
        for name in given.name or FAULTS:
            results.append(_one(name, given, upstream))
            line = json.dumps(results[-1]._asdict()) if given.json else terminal_line(results[-1])
            print(line, flush=True)
            for told in broken(results[-1]):
                print(f"{name}: beyond its bound: {told}", file=sys.stderr, flush=True)
    finally:
        upstream.close()
    if given.page:
        arguments = shlex.join(argument for argument in sys.argv[1:] if argument != "--json")
        write_page(results, command=f"python -m tests.faults {arguments}")
    return 1 if any(map(broken, results)) else 0


def _kill(given):
    """Round after round; what there was until an interrupt counts."""
    total, upstream = kills.NONE, FakeUpstream()
    with (
        tempfile.TemporaryDirectory(prefix="freehold-kills-") as folder,
        contextlib.suppress(KeyboardInterrupt),
    ):
        for one in kills.rounds(given.kills, seed=given.seed, folder=Path(folder), upstream=upstream):
            total += one
            print(json.dumps(one._asdict()) if given.json else kills_sentence(one), flush=True)
    upstream.close()
    print(json.dumps(total._asdict()) if given.json else f"In all: {kills_sentence(total)}", flush=True)
    if given.page and total.kills:
        write_kills(total, command=f"python -m tests.faults --kills {total.kills} --seed {given.seed}")
    return 1 if total.silent else 0


def _one(name, given, upstream):
    def progress(number):
        print(f"{name}: {number + 1} of {given.times}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="freehold-faults-") as folder:
        return measure(
            name,
            seed=given.seed,
            times=given.times,
            folder=Path(folder),
            upstream=upstream,
            progress=progress,
        )


if __name__ == "__main__":
    sys.exit(main())
