"""How long `freehold compare` takes: `python -m benchmarks.compare`.

3,080 continuous items with 10,000 bootstrap resamples and all slices, and a million pairs three ways. Time and
peak memory are those of the whole command, start-up included. Exit code 1 when a limit is exceeded.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule

LIMITS = {"3,080 items": (2.0, 1.0), "1,000,000 pairs": (10.0, 1.0)}  # seconds, GiB


def write(path: Path, n: int, *, continuous: bool, extra: bool, clusters: bool, seed: int) -> None:
    """A pairs file: incumbent right 80 % of the time, candidate different on 5 %."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for i in range(n):
            a = rng.random() if continuous else int(rng.random() < 0.8)
            if continuous:
                b = min(1.0, max(0.0, a + rng.gauss(0, 0.1)))
            else:
                b = a if rng.random() < 0.95 else 1 - a
            line = {"id": f"item-{i}", "a": a, "b": b}
            if clusters:
                line["cluster"] = f"user-{i // 7}"
            if extra:
                line |= {
                    "label": f"intent-{i % 77}",
                    "language": rng.choice(["en", "de", "fr", "it"]),
                    "length": rng.choice(["short", "medium", "long"]),
                    "plan": rng.choice(["free", "paid"]),
                }
            file.write(json.dumps(line) + "\n")


def measure(path: Path, *options: str) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and GiB of one command. Its exit code may be any verdict's."""
    command = [
        sys.executable,
        "-m",
        "freehold",
        "compare",
        "--pairs",
        str(path),
        "--margin",
        "0.02",
        "--json",
    ]
    began = time.perf_counter()
    child = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in {0, 1, 3}:
        raise SystemExit(f"the command failed with exit code {child.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024**2


def within() -> None:
    """Processor time of one verdict on 500 pairs within a program, as table rows: medians of 15 sets of scores."""
    draw, n = np.random.default_rng(0), 500
    ids = [str(row) for row in range(n)]
    users = {"": None, ", fives": [str(row // 5) for row in range(n)]}
    for (scores, binary), (units, clusters) in itertools.product(
        (("0/1", True), ("graded", False)), users.items()
    ):
        taken = []
        for _ in range(15):
            a = (draw.random(n) < 0.93) * 1.0 if binary else draw.beta(8, 2, n)
            b = (
                np.where(draw.random(n) < 0.04, 1 - a, a)
                if binary
                else np.clip(a + draw.normal(0, 0.1, n), 0, 1)
            )
            began = time.process_time()
            compare_scores(ids, a.tolist(), b.tolist(), DecisionRule(margin=0.03), clusters=clusters)
            taken.append((time.process_time() - began) * 1000)
        print(
            f"| 500 pairs | {scores}{units}, within a program | | {sorted(taken)[7]:.1f} ms | |", flush=True
        )


def main() -> int:
    """Measure each case three times and print the best, as a table row."""
    fields = ("label", "language", "length", "plan")
    slices = [part for field in fields for part in ("--slice", field)]
    resampled = slices
    cases = (
        ("3,080 items", "continuous, 86 slices", 3080, True, True, False, resampled),
        ("1,000,000 pairs", "binary", 1_000_000, False, False, False, []),
        ("1,000,000 pairs", "binary, clusters of 7", 1_000_000, False, False, True, []),
        ("1,000,000 pairs", "continuous", 1_000_000, True, False, False, []),
        ("1,000,000 pairs", "binary, 86 slices", 1_000_000, False, True, False, slices),
    )  # fmt: skip
    missed = False
    print("| items | what | seconds | processor seconds | peak GiB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, what, n, continuous, extra, clusters, options in cases:
            path = Path(folder) / "pairs.jsonl"
            write(path, n, continuous=continuous, extra=extra, clusters=clusters, seed=1)
            runs = [measure(path, *options) for _ in range(3)]
            seconds, busy = min(run[0] for run in runs), min(run[1] for run in runs)
            memory = max(run[2] for run in runs)
            missed |= seconds > LIMITS[name][0] or memory > LIMITS[name][1]
            print(f"| {name} | {what} | {seconds:.2f} | {busy:.2f} | {memory:.2f} |", flush=True)
    within()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
