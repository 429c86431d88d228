"""`freehold dataset build` on many rows: rows a second and peak memory, step by step.

    python -m benchmarks.dataset                       # 100,000 rows
    python -m benchmarks.dataset --rows 1000000 --only patterns
    python -m benchmarks.dataset --leaks FOLDER        # of Banking77: which copies of held-out messages are found

Rows are support mails put together from parts: one in ten holds an address and a phone number, one in twenty repeats
another nearly, half have a right answer. Each configuration runs in a process of its own; the store is filled once.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

CONFIGS = {
    "exact only": 'personal_data = "off"\nnear_duplicates = 0',
    "near repeats": 'personal_data = "off"',
    "patterns": 'personal_data = "patterns"',
    "library": 'personal_data = "library"',
}
LABELS = [f"label_{n}" for n in range(40)]
OPENINGS = ["Hello,", "Hi there,", "Good morning,", "To whom it may concern,", "Dear team,"]
MATTERS = [
    "parcel",
    "invoice",
    "lamp",
    "sofa",
    "refund",
    "voucher",
    "account",
    "subscription",
    "warranty",
    "courier",
]
WORDS = [
    a + b
    for a in ("or", "ta", "mi", "ke", "su", "ro", "va", "ne", "li", "do")
    for b in (
        "der",
        "lon",
        "mar",
        "tin",
        "pel",
        "sta",
        "vik",
        "nor",
        "fel",
        "gan",
        "hul",
        "jet",
        "kor",
        "lam",
        "mon",
        "pur",
    )
]


def texts(rows: int, seed: int = 0) -> Iterator[str]:
    """Support mails of about 250 characters."""
    draw = random.Random(seed)
    before: list[str] = []
    for _ in range(rows):
        if before and draw.random() < 0.05:
            yield draw.choice(before) + " Please answer soon."
            continue
        body = " ".join(draw.choices(WORDS, k=draw.randint(10, 50)))
        text = f"{draw.choice(OPENINGS)} my {draw.choice(MATTERS)} {draw.randint(10000, 99999)}: {body}."
        if draw.random() < 0.1:
            name = "".join(draw.choices("abcdefghijklmnop", k=8))
            text += f" Write to {name}@example.com or call +49 170 {draw.randint(1000000, 9999999)}."
        if len(before) < 2000:
            before.append(text)
        yield text


def fill(folder: Path, rows: int) -> None:
    """Traces into the store of a project."""
    from freehold.store import open_store
    from freehold.types.trace import Trace

    start = datetime(2026, 1, 1, tzinfo=UTC)

    def traces() -> Iterator[Trace]:
        draw = random.Random(1)
        for number, text in enumerate(texts(rows)):
            label = draw.choice(LABELS)
            yield Trace(
                id=f"{number:032x}",
                at=start + timedelta(seconds=number),
                source=f"import:mails.jsonl#{number}",
                model="gpt-4o-2024-08-06",
                request={
                    "messages": [
                        {"role": "system", "content": "Name the matter of this mail."},
                        {"role": "user", "content": text},
                    ]
                },
                response={"choices": [{"message": {"role": "assistant", "content": label}}]},
                gold=(label if draw.random() < 0.9 else draw.choice(LABELS)) if number % 2 else None,
            )

    state = folder / ".freehold"
    state.mkdir(parents=True)
    with open_store(f"sqlite:///{state / 'freehold.sqlite'}") as store:
        store.add_traces(traces())


def one(folder: Path, name: str) -> None:
    """Build in this process and print what it took as JSON."""
    from freehold.workflows.data.curate import read_card
    from freehold.workflows.data.dataset import build
    from freehold.workflows.project import open_project

    config = folder / f"{name.replace(' ', '-')}.toml"
    config.write_text(f'[app]\nname = "mails"\n[task]\nscorer = "label"\n[curate]\n{CONFIGS[name]}\n')
    project = open_project(config)
    began, busy = time.perf_counter(), time.process_time()
    dataset = build(project)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    card = read_card(dataset)
    assert card is not None
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": busy,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "kept": sum(split.samples for split in dataset.splits),
                "near": None
                if card.near_duplicates is None
                else sum(card.near_duplicates.across.values()) + sum(card.near_duplicates.within.values()),
                "replaced": {kind: found.found for kind, found in card.replaced.items()},
            }
        )
    )


def guises(text: str, draw: random.Random) -> dict[str, str]:
    """A message as it may come back."""
    words = text.split()
    at, half = draw.randrange(len(words)), len(words) // 2
    longest = max(range(len(words)), key=lambda place: len(words[place]))
    letters = list(words[longest])
    swap = draw.randrange(max(1, len(letters) - 1))
    letters[swap : swap + 2] = reversed(letters[swap : swap + 2])

    def instead(place: int, *new: str) -> str:
        return " ".join([*words[:place], *new, *words[place + 1 :]])

    return {
        "one word left out": instead(at),
        "halves swapped": " ".join(words[half:] + words[:half]),
        "one word of other letters": instead(
            at, "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=len(words[at])))
        ),
        "letters of a word shuffled": instead(at, "".join(draw.sample(words[at], len(words[at])))),
        "two letters swapped": instead(longest, "".join(letters)),
        "please": f"please {text}",
        "hey could you please": f"hey could you please {text}",
        "the first half": " ".join(words[: len(words) - half]),
    }


def leaks(folder: Path) -> None:
    """How many copies of 200 held-out messages stay in training, and how many real training messages go."""
    from freehold.datasets.building import make_samples
    from freehold.datasets.sampling import Recipe
    from freehold.types.trace import Trace

    def kept(taught: list[dict[str, str]]) -> int:
        rows = [("train", row) for row in taught] + [("held_out", row) for row in held_out]
        traces = (
            Trace(
                id=str(number),
                at=datetime(2026, 1, 1, tzinfo=UTC),
                source="banking77",
                model="",
                request={"messages": [{"role": "user", "content": row["text"]}]},
                response=None,
                gold=row["category"],
                metadata={"split": split},
            )
            for number, (split, row) in enumerate(rows)
        )
        return len(make_samples(traces, Recipe(near_duplicates=0.8)).by_split["train"])

    train, held_out = (list(csv.DictReader((folder / f"{name}.csv").open())) for name in ("train", "test"))
    print(f"of {len(train):,} training messages {kept(train):,} stay beside {len(held_out):,} held out")
    draw = random.Random(7)
    some = [(row, guises(row["text"], draw)) for row in draw.sample(held_out, 200)]
    for guise in some[0][1]:
        stay = kept([{**row, "text": texts[guise]} for row, texts in some])
        print(f"{guise}: {stay} of {len(some)} stay")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", choices=CONFIGS, action="append")
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    parser.add_argument("--leaks", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if given.leaks:
        leaks(given.leaks)
        return
    if given.one:
        one(Path(given.one[0]), given.one[1])
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        fill(folder, given.rows)
        print(f"{given.rows:,} rows; load of the machine {os.getloadavg()[0]:.1f}")
        print(
            "| steps | rows/s | rows/s of processor time | peak memory | kept | near repeats out | replaced |"
        )
        print("|---|--:|--:|--:|--:|--:|---|")
        for name in given.only or CONFIGS:
            run = subprocess.run(
                [sys.executable, "-m", "benchmarks.dataset", "--one", str(folder), name],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            found = json.loads(run.stdout)
            replaced = ", ".join(f"{count:,} {kind}" for kind, count in found["replaced"].items())
            print(
                f"| {name} | {given.rows / found['seconds']:,.0f} | {given.rows / found['cpu_seconds']:,.0f} "
                f"| {found['peak_mib']:,.0f} MiB | {found['kept']:,} | {found['near'] or 0:,} | {replaced} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
