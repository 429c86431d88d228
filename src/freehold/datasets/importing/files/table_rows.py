"""CSV, Parquet and Arrow as rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from freehold.datasets.importing.files.reading import DAMAGED, opened, unreadable
from freehold.datasets.importing.files.row import SourceRow, json_or_none, shown
from freehold.datasets.importing.records import MAX_RECORD_BYTES, SHOWN_CHARACTERS
from freehold.errors import InputError, MissingExtraError

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
    """The rows of a Parquet or Arrow file. Raises `MissingExtraError` and `InputError`."""
    import importlib.util

    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(f"reading {container} files", "parquet")
    import pyarrow

    number = 0
    labels: dict[str, list[str]] | None = None
    try:
        for batch in _batches(path, container):
            labels = _class_names(batch.schema.metadata) if labels is None else labels
            for value in batch.to_pylist():
                number += 1
                plain = {key: one for key, one in value.items() if one is not None}
                for name, names in labels.items():
                    if isinstance(plain.get(name), int) and 0 <= plain[name] < len(names):
                        plain[name] = names[plain[name]]
                yield SourceRow(
                    number, plain, 0, shown(repr(value)[:SHOWN_CHARACTERS].encode("utf-8", "replace"))
                )
    except OSError as error:  # pyarrow's errors of input and output are OSErrors too
        if number == 0:
            raise unreadable(path, error) from None
        yield SourceRow(number + 1, None, 0, "", f"the file is damaged from here on: {error}")
    except (pyarrow.ArrowException, UnicodeDecodeError, RecursionError) as error:
        if number == 0:
            raise InputError(f"cannot be read as {container}: {error}", path=str(path)) from None
        yield SourceRow(number + 1, None, 0, "", f"the file is damaged from here on: {error}")


def _batches(path: Path, container: Columnar) -> Iterable[Any]:
    if container == "parquet":
        import pyarrow.parquet

        yield from pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1000)
        return
    import pyarrow

    with path.open("rb") as file:
        start = file.read(6)
    if start == b"ARROW1":
        with pyarrow.ipc.open_file(str(path)) as reader:
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
    else:  # Hugging Face's datasets writes streams
        with pyarrow.OSFile(str(path)) as source, pyarrow.ipc.open_stream(source) as stream:
            yield from stream


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """Names of Hugging Face's `ClassLabel` columns, whose cells are numbers."""
    noted = json_or_none((metadata or {}).get(b"huggingface", b"{}"))
    features = ((noted or {}).get("info") or {}).get("features") or {}
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }
