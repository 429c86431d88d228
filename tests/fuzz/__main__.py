"""``python -m tests.fuzz [TARGET ...] --seconds N --seed S``: fuzz what reads strangers' bytes.

Without a target all are run, N seconds each. Findings are printed with the input (base64) and written to ``--out``;
each becomes a line of ``tests/fuzz/corpus/TARGET.txt``, which the tests run, once its cause is mended.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz import runner


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", help="targets (default: all)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target (default: 10)")
    parser.add_argument(
        "--most", type=int, help="inputs of each target (default: as many as there is time for)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed and --most try the same inputs (default: 1)"
    )
    parser.add_argument("--out", type=Path, help="where findings are written (default: a new folder in /tmp)")
    parser.add_argument(
        "--keep", action="store_true", help="add inputs that reach something new to the corpus"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        runner.child(
            given.target[0],
            seconds=given.seconds,
            seed=given.seed,
            out=given.child,
            folder=given.corpus,
            most=given.most,
        )
        return 0
    from tests.fuzz.table import TARGETS

    if not runner.guided():
        parser.error("atheris is not installed: pip install 'freehold[fuzz]'")
    if unknown := set(given.target) - set(TARGETS):
        parser.error(f"unknown target {', '.join(sorted(unknown))}; known: {', '.join(TARGETS)}")
    out = given.out or Path(tempfile.mkdtemp(prefix="freehold-fuzz-"))
    failed = False
    for name in given.target or TARGETS:
        done = runner.run(
            name, seconds=given.seconds, seed=given.seed, out=out, most=given.most, keep=given.keep
        )
        failed = failed or bool(done.findings)
        print(
            f"{name:<15}{done.inputs:>10,} inputs in {done.seconds:>6.1f} s, {done.coverage} edges, "
            f"{len(done.findings)} findings",
            flush=True,
        )
        for one in done.findings:
            print(f"  {one['error']}\n    in {one['place']}\n    input {one['input'][:400]}", flush=True)
    print(f"logs and inputs: {out}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
