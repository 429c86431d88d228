"""``python -m tests.faults [NAME ...] --seed S --times N``: measure what faults do to a gateway.

Real processes, a real store, clients that ask all the time. Without a name all faults are done; a line of JSON tells
of each. The same seed draws the same moments, victims and numbers. Exits with 1 when a fault costs more than its bound.
"""

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

from tests.faults import kills, shim
from tests.faults.bounds import broken
from tests.faults.measure import measure
from tests.faults.table import FAULTS
from tests.gateway.loopback import FakeUpstream


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"faults (default: all): {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=13, help="draws what is drawn (default: 13)")
    parser.add_argument("--times", type=int, default=1, help="how often each fault happens (default: 1)")
    parser.add_argument(
        "--kills", type=int, metavar="N", help="kill N times, whichever process is drawn, instead of faults"
    )
    given = parser.parse_args()
    if unknown := set(given.name) - set(FAULTS):
        parser.error(f"unknown fault {', '.join(sorted(unknown))}")
    if why := shim.why_not():
        parser.error(f"the faults cannot be done here: {why}")
    # An upstream that breaks off would be reported with a traceback each time.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    upstream = FakeUpstream()
    try:
        with tempfile.TemporaryDirectory(prefix="freehold-faults-") as folder:
            return _kill(given, Path(folder), upstream) if given.kills else _do(given, Path(folder), upstream)
    finally:
        upstream.close()


def _do(given, folder, upstream):
    beyond = []
    for number, name in enumerate(given.name or FAULTS):
        own = folder / str(number)
        own.mkdir()
        one = measure(name, seed=given.seed, times=given.times, folder=own, upstream=upstream)
        print(json.dumps(one._asdict()), flush=True)
        beyond += [f"{name}: beyond its bound: {told}" for told in broken(one)]
    print("\n".join(beyond), file=sys.stderr)
    return 1 if beyond else 0


def _kill(given, folder, upstream):
    total = kills.NONE
    for one in kills.rounds(given.kills, seed=given.seed, folder=folder, upstream=upstream):
        total += one
        print(json.dumps({**total._asdict(), "silent": total.silent}), flush=True)
    return 1 if total.silent else 0


if __name__ == "__main__":
    sys.exit(main())
