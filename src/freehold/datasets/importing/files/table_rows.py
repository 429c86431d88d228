"""CSV, Parquet and Arrow as rows."""

from __future__ import annotations

import contextlib
import csv
import io
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from freehold.bounded.caller import BoundedCaller
from freehold.bounded.pool import OutOfBoundsError
from freehold.datasets.importing.files.reading import DAMAGED, SourceRow, opened, shown, unreadable
from freehold.datasets.importing.records import MAX_RECORD_BYTES, SHOWN_CHARACTERS
from freehold.errors import InputError, MissingExtraError
from freehold.unpacking import check_ratio

Columnar = Literal["parquet", "arrow"]


def csv_rows(path: Path) -> Iterator[SourceRow]:
    """The rows of a CSV file by the names of its header. Raises `InputError` when there is none."""
    csv.field_size_limit(MAX_RECORD_BYTES)
    with opened(path) as raw:
        # Bytes that are not UTF-8 become lone surrogates, so that their row can be rejected by its number.
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
        began = 1
        try:
            reader = csv.reader(text, delimiter=_delimiter(path, text))
            header = next(reader, None)
        except (csv.Error, *DAMAGED) as error:
            raise InputError(f"not valid CSV: {error}", path=str(path), line=1) from None
        if not header:
            raise InputError("no header", path=str(path), line=1, hint="the first line names the columns")
        twice = {name for name in header if header.count(name) > 1}
        if twice:
            raise InputError(f"columns named twice: {', '.join(sorted(twice))}", path=str(path), line=1)
        while True:
            began = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield SourceRow(began, None, 0, "", f"not valid CSV: {error} (a quote that is never closed?)")
                continue
            except DAMAGED as error:
                yield SourceRow(
                    began, None, 0, "", f"the file ends early or is damaged from here on: {error}"
                )
                return
            if not fields:
                continue
            line = reader.line_num
            joined = ",".join(fields)
            size = len(joined)
            if not joined.isascii():
                try:
                    size = len(joined.encode())
                except UnicodeEncodeError:
                    seen = joined[:SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
                    yield SourceRow(line, None, size, seen, "not valid UTF-8")
                    continue
            if len(fields) > len(header):
                problem = f"{len(fields)} fields, more fields than the header has columns ({len(header)})"
                yield SourceRow(line, None, size, joined[:SHOWN_CHARACTERS], problem)
                continue
            value = {name: field for name, field in zip(header, fields, strict=False) if field != ""}
            yield SourceRow(line, value, size, joined[:SHOWN_CHARACTERS])


def csv_header(path: Path) -> tuple[str, ...]:
    """Names of the columns of a CSV file."""
    with opened(path) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="")
        return tuple(next(csv.reader(text, delimiter=_delimiter(path, text)), ()))


def _delimiter(path: Path, text: io.TextIOWrapper) -> str:
    """The character that splits the header most often: comma, semicolon, tab or bar."""
    if ".tsv" in path.suffixes:
        return "\t"
    start = text.buffer.peek(4096)[:4096] if isinstance(text.buffer, io.BufferedReader) else b""
    header = start.decode("utf-8", "replace").splitlines()[:1]
    counts = {one: header[0].count(one) for one in ",;\t|"} if header else {}
    best = max(counts, key=lambda one: counts[one], default=",")
    return best if counts.get(best) else ","


def arrow_rows(path: Path, container: Columnar) -> Iterator[SourceRow]:
    """The rows of a Parquet or Arrow file. Raises `MissingExtraError`, and `InputError` also for one that unpacks to
    more than an honest file does."""
    import importlib.util

    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(f"reading {container} files", "parquet")
    try:
        packed_bytes = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from None
    token, number, unpacked_bytes = secrets.token_bytes(8), 0, 0
    given = (token, str(path.absolute()).encode("utf-8", "surrogateescape"), container.encode())
    try:
        while True:
            standing, encoded, why = _asked("rows", (*given, b"%d" % number), path)
            unpacked_bytes += len(encoded)
            if standing == b"packed":
                unpacked_bytes = int(why)
            for value in msgspec.msgpack.decode(encoded, type=list[dict[str, Any]]):
                number += 1
                unpacked_bytes += _ROW_BYTES
                check_ratio(packed_bytes, unpacked_bytes, str(path))
                plain = {key: one for key, one in value.items() if one is not None}
                text = shown(repr(value)[:SHOWN_CHARACTERS].encode("utf-8", "replace"))
                yield SourceRow(number, plain, 0, text)
            check_ratio(packed_bytes, unpacked_bytes, str(path))
            if standing == b"damaged":
                words = why.decode("utf-8", "replace")
                if number == 0:
                    raise InputError(f"cannot be read as {container}: {words}", path=str(path))
                yield SourceRow(number + 1, None, 0, "", f"the file is damaged from here on: {words}")
            if standing != b"rows":
                return
    finally:
        with contextlib.suppress(InputError):
            _asked("close", (token,), path)


# What a row takes of memory besides its cells: rows without any are bounded, too.
_ROW_BYTES = 64
_CPU_S, _WALL_S = 120.0, 600.0
_reader = BoundedCaller("freehold.datasets.importing.files.columnar_job")
_reader_turn = threading.Lock()


def _asked(job: str, parts: Sequence[bytes], path: Path) -> list[bytes]:
    """What the process that reads such files answers. Raises `InputError` where a file is too much for it."""
    try:
        with _reader_turn:
            return _reader.run(job, parts, cpu_s=_CPU_S, wall_s=_WALL_S)
    except OutOfBoundsError as error:
        raise InputError(
            f"cannot be read within bounds of memory and time ({error.why})",
            path=str(path),
            hint="its pages or cells unpack to gigabytes: look at it with the tool that wrote it",
        ) from None
