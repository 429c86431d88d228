"""What the sandbox of a user's scorer costs: 10,000 answers in bubblewrap, within limits only, and as a plain call.

    python -m benchmarks.code_scorer            # table
    python -m benchmarks.code_scorer --json

Five rounds, turn about, so that a load that changes meets all of them; the fastest counts. The plain call is the
function called in this process, without a process, a limit or a message.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from freehold.bounded.sandbox import sandbox_state
from freehold.evals.scorers import make
from freehold.types.dataset import Message, Sample

ANSWERS, ROUNDS = 10_000, 5
SCORERS = {
    "compares two texts": "def grade(answer, reference, sample):\n    return answer == reference\n",
    "runs the answer as SQL on a table in memory": """
import sqlite3

def grade(answer, reference, sample):
    with sqlite3.connect(":memory:") as base:
        base.execute("create table orders (id integer, total real)")
        base.executemany("insert into orders values (?, ?)", [(one, one * 1.5) for one in range(200)])
        wanted, given = (base.execute(text).fetchall() for text in (reference, answer))
    return wanted == given
""",
}
ANSWER = "select sum(total) from orders where id > 100"


class Row(NamedTuple):
    """Seconds for all answers, of the fastest round. `start` is from nothing to the first score."""

    scorer: str
    way: str
    seconds: float
    start: float


async def scored(place: str, sandbox: str, sample: Sample) -> tuple[float, float]:
    scorer = make("code", {"callable": place, "sandbox": sandbox})
    try:
        began = time.perf_counter()
        await scorer.score(sample, ANSWER, ANSWER)
        warm = time.perf_counter()
        for _ in range(ANSWERS):
            given = await scorer.score(sample, ANSWER, ANSWER)
            assert given.value == 1.0
        return time.perf_counter() - warm, warm - began
    finally:
        await scorer.close()


def called(text: str, sample: Sample) -> float:
    names: dict[str, object] = {}
    exec(text, names)  # noqa: S102 - the text above
    grade = names["grade"]
    assert callable(grade)
    as_dict = json.loads(json.dumps({"id": sample.id}))
    began = time.perf_counter()
    for _ in range(ANSWERS):
        assert grade(ANSWER, ANSWER, as_dict)
    return time.perf_counter() - began


def measure() -> list[Row]:
    ways = ["limits", *(["required"] if sandbox_state().kind == "bubblewrap" else [])]
    sample = Sample(id="s", messages=(Message(role="user", content="the sum " * 40),), gold=ANSWER)
    rows = []
    for name, text in SCORERS.items():
        took: dict[str, list[tuple[float, float]]] = {way: [] for way in ("call", *ways)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "grader.py"
            path.write_text(text, encoding="utf-8")
            for _ in range(ROUNDS):
                took["call"].append((called(text, sample), 0.0))
                for way in ways:
                    took[way].append(asyncio.run(scored(f"{path}:grade", way, sample)))
        rows += [
            Row(name, way, *(min(column) for column in zip(*times, strict=True)))
            for way, times in took.items()
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    rows = measure()
    if parser.parse_args().json:
        print(json.dumps([row._asdict() for row in rows]))
        return
    for row in rows:
        print(f"{row.scorer:45} {row.way:10} {row.seconds:8.2f} s  start {row.start:.3f} s")


if __name__ == "__main__":
    main()
