"""Files as rows: JSON lines, JSON documents and arrays, CSV, Parquet, Arrow; plain, gzip or Zstandard.

Covered: files of any length (one record, or one batch of Parquet rows, in memory at a time); records spread over
several lines; a byte-order mark; bytes that are not UTF-8 (that record is marked, the others are read).
Not covered: UTF-16 (an error that says so); a JSON document of more than 256 MiB that is not an array.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from freehold.datasets.importing.files.json_rows import json_line_rows, json_rows
from freehold.datasets.importing.files.reading import DAMAGED, SourceRow, bounded_lines, json_or_none, opened
from freehold.datasets.importing.files.table_rows import arrow_rows, csv_rows

Container = Literal["json lines", "json", "csv", "parquet", "arrow"]
_PEEK_LINES = 50


def container_of(path: Path) -> Container:
    """What kind of file it is: by its name where that is certain, else by how it begins. Raises `InputError`."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith((".csv", ".tsv")):
        return "csv"
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith((".arrow", ".feather")):
        return "arrow"
    with opened(path) as file:
        lines: list[bytes] = []
        with contextlib.suppress(*DAMAGED):  # damage is reported when the rows are read
            lines.extend(islice(bounded_lines(file), _PEEK_LINES))
    first = next((line.lstrip() for line in lines if line.strip()), b"")
    if first[:4] in (b"PAR1",):
        return "parquet"
    if first[:6] == b"ARROW1":
        return "arrow"
    if first.startswith(b"["):
        return "json"
    whole = any(line.startswith(b"{") and isinstance(json_or_none(line), dict) for line in lines)
    if whole or not first.startswith(b"{"):
        known = name.endswith((".json", ".jsonl", ".ndjson")) or whole
        looks_tabular = b"," in first or b"\t" in first or b";" in first
        return "csv" if not known and looks_tabular and name.endswith(".txt") else "json lines"
    return "json" if len(lines) > 1 and not name.endswith((".jsonl", ".ndjson")) else "json lines"


def rows(path: Path, container: Container) -> Iterator[SourceRow]:
    """Every record of a file, in order. Raises `InputError` when the file itself cannot be read."""
    if container == "csv":
        return csv_rows(path)
    if container == "parquet" or container == "arrow":
        return arrow_rows(path, container)
    return json_line_rows(path) if container == "json lines" else json_rows(path)
