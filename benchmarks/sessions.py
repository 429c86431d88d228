"""A long log of agents' sessions, without ids: seconds and memory of import and build, and whether sessions are found.

    python -m benchmarks.sessions                      # 1,000,000 calls
    python -m benchmarks.sessions --calls 100000 --near 0.8

Each session is 2 to 8 calls whose messages continue one another: tool calls, their results, what the user says next.
Calls of 500 sessions are interleaved, as a gateway would record them. The commands run in processes of their own, on an
empty SQLite project; peak memory is the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.mixed_log import NAMES, complaint, passage

AT_ONCE = 500
NAMED = ("find_order", "cancel_order", "refund")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"order": {"type": "string"}},
                "required": ["order"],
            },
        },
    }
    for name in NAMED
]


def session(number: int) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """The calls of one session, made from its number: what was asked, what was answered."""
    draw = random.Random(number)
    turns: list[dict[str, Any]] = [
        {
            "role": "system",
            "content": "You help customers of a shop. Look an order up before you promise anything.",
        },
        {"role": "user", "content": f"This is {draw.choice(NAMES)}, order {number}: {complaint(draw)}?"},
    ]
    for step in range(draw.randint(2, 8)):
        if step % 2 == 0:
            function = {
                "name": draw.choice(NAMED),
                "arguments": json.dumps({"order": number}),
            }
            answer: dict[str, Any] = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"c{step}", "type": "function", "function": function}],
            }
            after = {"role": "tool", "tool_call_id": f"c{step}", "content": passage(draw, 12)}
        else:
            answer = {"role": "assistant", "content": passage(draw, 15)}
            after = {"role": "user", "content": complaint(draw)}
        yield list(turns), answer
        turns += [answer, after]


def lines(calls: int, met: set[int]) -> Iterator[str]:
    """The log's lines: `AT_ONCE` sessions under way at a time, the next call of a random one.

    `met` gets the numbers of the sessions.
    """
    draw, number, made = random.Random(0), 0, 0
    under_way: list[Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]] = []
    numbers: list[int] = []
    while made < calls:
        while len(under_way) < AT_ONCE:
            under_way.append(session(number))
            numbers.append(number)
            number += 1
        place = draw.randrange(AT_ONCE)
        found = next(under_way[place], None)
        if found is None:
            under_way[place], numbers[place] = session(number), number
            number += 1
            continue
        messages, answer = found
        record = {
            "request": {"model": "gpt-4o-mini", "messages": messages, "tools": TOOLS},
            "response": {
                "created": 1_772_400_000 + made // 4,
                "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}],
            },
        }
        made += 1
        met.add(numbers[place])
        yield json.dumps(record) + "\n"


def measured(words: list[str], folder: Path) -> tuple[float, float, float, str]:
    """Seconds on the clock, seconds of the processor, GiB at the peak, and what the command printed."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "freehold", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}\n{printed}")
    return time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / (1 << 20), printed


def main() -> None:
    """Make the log, import it, build a dataset of it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--near", type=float, default=0.0, help="[curate] near_duplicates")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "freehold.toml").write_text(
            '[app]\nname = "sessions"\n[data]\nfiles = ["log.jsonl"]\n'
            f'[curate]\nnear_duplicates = {given.near}\npersonal_data = "off"\nsecrets = false\n'
        )
        met: set[int] = set()
        with (folder / "log.jsonl").open("w") as file:
            file.writelines(lines(given.calls, met))
        size = (folder / "log.jsonl").stat().st_size
        print(f"{given.calls:,} calls of {len(met):,} sessions, {size / 1e6:,.0f} MB")
        for words in (["import", "log.jsonl", "--json"], ["dataset", "build", "--json"]):
            clock, processor, peak, printed = measured(words, folder)
            print(
                f"{words[0]:8} {clock:7.0f} s, {processor:7.0f} s of the processor, "
                f"{given.calls / clock:,.0f} calls/s, {peak:.2f} GiB at the peak"
            )
        made = json.loads(printed)
        for split in made["splits"]:
            print(f"  {split['name']:10} {split['samples']:9,} samples in {split['groups']:,} sessions")
        print(f"  left out   {made['dropped']}")
        store = sum(one.stat().st_size for one in (folder / ".freehold").glob("freehold.sqlite*"))
        print(f"  the store takes {store / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
