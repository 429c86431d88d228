"""The base all training benchmarks start from, and Banking77's messages as samples."""

from __future__ import annotations

import csv
from pathlib import Path

from freehold.types.dataset import Message, Sample

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
SYSTEM = "Name the intent of the customer's message."


def samples_of(path: Path, name: str) -> list[Sample]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Sample(
                id=f"{name}-{number}",
                messages=(
                    Message(role="system", content=SYSTEM),
                    Message(role="user", content=row["text"]),
                ),
                gold=row["category"],
            )
            for number, row in enumerate(csv.DictReader(file))
        ]
