"""`freehold tasks` on a mixed log: seconds, memory, and how many records are told their task; beside drain3.

    python -m benchmarks.tasks                         # 100,000 requests of fourteen tasks
    python -m benchmarks.tasks --requests 1000000 --no-peer

The log is `benchmarks.mixed_log`'s, one model for all tasks, so that only prompts tell them apart. The command's work
is measured in a process of its own. drain3 (pip install drain3) gets the same texts, instructions and first user turn,
a miner for each shape of request, as it comes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from benchmarks.mixed_log import MixedRequest, as_record, mixed_log
from freehold.datasets.tasks.asked import AskedTask, TaskShape, asked_task
from freehold.datasets.tasks.grouping import Grouper
from freehold.types.config import DataConfig
from freehold.workflows.journey.log_tasks.finding import tasks_of_files

SEED = 14
AT_ONCE = 100_000


def pairs_f1(told: Sequence[Hashable], meant: Sequence[Hashable]) -> float:
    """F1 of pairs of records that are told to be together."""

    def pairs(counts: Counter[Hashable]) -> int:
        return sum(count * (count - 1) // 2 for count in counts.values())

    both: Counter[Hashable] = Counter(zip(told, meant, strict=True))
    return 2 * pairs(both) / (pairs(Counter(told)) + pairs(Counter(meant)))


def right(told: Sequence[Hashable], meant: Sequence[Hashable]) -> float:
    """Share of records in the group that is their task's, one group for each task."""
    used: set[Hashable] = set()
    named: set[Hashable] = set()
    found = 0
    for (group, task), count in Counter(zip(told, meant, strict=True)).most_common():
        if group not in used and task not in named:
            used.add(group)
            named.add(task)
            found += count
    return found / len(told)


def by_freehold(asked: Sequence[AskedTask]) -> list[Hashable]:
    """Each request's group."""
    grouper = Grouper()
    for one in asked:
        grouper.learn(one)
    grouper.learned()
    return [grouper.group_of(one) for one in asked]


def by_drain3(asked: Sequence[AskedTask]) -> list[Hashable]:
    """Each request's cluster, after all were added."""
    from drain3 import TemplateMiner  # type: ignore[import-not-found]

    miners: dict[TaskShape, TemplateMiner] = {}
    told: list[Hashable] = []
    for one in asked:
        if one.shape not in miners:
            miners[one.shape] = TemplateMiner()
        miner = miners[one.shape]
        found = miner.add_log_message(f"{one.system} {one.user}".replace("\n", " "))
        told.append((one.shape, found["cluster_id"]))
    return told


def compare(log: Sequence[MixedRequest], *, peer: bool) -> None:
    """Print how fast and how well each groups the same requests."""
    asked = [asked_task(one.request) for one in log]
    meant = [one.task for one in log]
    ways: dict[str, Callable[[Sequence[AskedTask]], list[Hashable]]] = {"freehold": by_freehold}
    if peer:
        ways["drain3"] = by_drain3
    for name, way in ways.items():
        begun, used = time.perf_counter(), time.process_time()
        told = way(asked)
        print(
            f"grouping, {name}: {time.perf_counter() - begun:.1f} s ({time.process_time() - used:.1f} s of processor), "
            f"{right(told, meant):.1%} right, pairwise F1 {pairs_f1(told, meant):.3f}, {len(set(told)):,} groups "
            f"for {len(set(meant))} tasks"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=AT_ONCE)
    parser.add_argument("--tasks", type=int, default=14)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.file is not None:
        begun = time.perf_counter()
        found = tasks_of_files([chosen.file], data=DataConfig())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"freehold tasks: {found.requests:,} requests, {len(found.tasks)} tasks, "
            f"{time.perf_counter() - begun:.1f} s ({time.process_time():.1f} s of processor), {peak:.2f} GiB at most"
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.jsonl"
        with file.open("w") as out:
            for part in range(0, chosen.requests, AT_ONCE):
                count = min(AT_ONCE, chosen.requests - part)
                log = mixed_log(SEED, requests=count, tasks=chosen.tasks)
                out.writelines(json.dumps(as_record(one)) + "\n" for one in log)
        print(f"{file.stat().st_size / 1e6:,.0f} MB", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks.tasks", "--file", str(file)], check=True)
    compare(log, peer=not chosen.no_peer)


if __name__ == "__main__":
    main()
