"""Files as rows: JSON lines, JSON documents and arrays, CSV, Parquet, Arrow; plain, gzip or Zstandard.

Covered: files of any length (one record, or one batch of Parquet rows, in memory at a time); records spread over
several lines; a byte-order mark; bytes that are not UTF-8 (that record is marked, the others are read).
Not covered: UTF-16 (an error that says so); a JSON document of more than 256 MiB that is no array.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec
import zstandard

from freehold.datasets.importing.records import MAX_RECORD_BYTES, SHOWN_CHARACTERS
from freehold.errors import InputError, MissingExtraError
from freehold.types.units import MIB

Container = Literal["json lines", "json", "csv", "parquet", "arrow"]
MAX_LINE_BYTES = 64 * MIB
MAX_DOCUMENT_CHARACTERS = 256 * MIB
_CHUNK = MIB
_PEEK_LINES = 50
_ENVELOPES = ("data", "rows", "items", "runs", "observations")
_OF_A_PAGE = frozenset(
    {
        "object",
        "has_more",
        "first_id",
        "last_id",
        "meta",
        "cursor",
        "cursors",
        "next",
        "next_cursor",
        "next_page",
    }
    | {"total", "count", "page", "page_size", "total_pages", "limit", "offset", "error", "success"}
)


class SourceRow(NamedTuple):
    """One record as it stands in a file. `problem` says why `value` could not be read."""

    line: int
    value: dict[str, Any] | None
    size: int
    text: str = ""
    problem: str | None = None


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder. Raises `InputError` when it cannot be looked at."""
    try:
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> InputError:
    """The error for a file that the system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return InputError(
            "no such file", path=str(path), hint="paths in freehold.toml are relative to that file"
        )
    return InputError(f"cannot be read: {error.strerror or error}", path=str(path))


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
        with contextlib.suppress(*_DAMAGED):  # what is damaged is told when its rows are read
            lines.extend(islice(_bounded_lines(file), _PEEK_LINES))
    first = next((line.lstrip() for line in lines if line.strip()), b"")
    if first[:4] in (b"PAR1",):
        return "parquet"
    if first[:6] == b"ARROW1":
        return "arrow"
    if first.startswith(b"["):
        return "json"
    whole = any(line.startswith(b"{") and isinstance(_decoded(line), dict) for line in lines)
    if whole or not first.startswith(b"{"):
        known = name.endswith((".json", ".jsonl", ".ndjson")) or whole
        looks_tabular = b"," in first or b"\t" in first or b";" in first
        return "csv" if not known and looks_tabular and name.endswith(".txt") else "json lines"
    return "json" if len(lines) > 1 and not name.endswith((".jsonl", ".ndjson")) else "json lines"


def rows(path: Path, container: Container) -> Iterator[SourceRow]:
    """Every record of a file, in order. Raises `InputError` when the file itself cannot be read."""
    if container == "csv":
        return _csv_rows(path)
    if container in ("parquet", "arrow"):
        return _arrow_rows(path, container)
    return _json_line_rows(path) if container == "json lines" else _json_rows(path)


def opened(path: Path) -> IO[bytes]:
    """A file opened for reading bytes, decompressed by what it begins with, without a byte-order mark."""
    try:
        file = path.open("rb")
        start = file.read(4)
        file.seek(0)
    except OSError as error:
        raise unreadable(path, error) from None
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") and b"\0" in start[2:]:
        file.close()
        raise InputError(
            "is UTF-16, expected UTF-8",
            path=str(path),
            hint=f"iconv -f UTF-16 -t UTF-8 {path} > utf8{path.suffix or '.jsonl'}",
        )
    if start == b"PK\x03\x04":
        file.close()
        raise InputError(
            "is a ZIP archive or an Excel workbook",
            path=str(path),
            hint="unpack the archive and import what was in it, or save the sheet as CSV (UTF-8)",
        )
    if start[:2] == b"\x1f\x8b":
        return io.BufferedReader(_Packed(file, lambda: zlib.decompressobj(wbits=31)), _CHUNK)
    if start == b"\x28\xb5\x2f\xfd":
        return io.BufferedReader(_Packed(file, lambda: zstandard.ZstdDecompressor().decompressobj()), _CHUNK)
    if start[:3] == b"\xef\xbb\xbf":
        file.seek(3)
    return file


class _Packed(io.RawIOBase):
    """Decompresses frame after frame, and raises `EOFError` when the last is cut off, but only after all that came
    before the cut: the libraries' own readers lose it, or don't tell."""

    def __init__(self, file: IO[bytes], frame: Callable[[], Any]) -> None:
        self._file = file
        self._new = frame
        self._frame = frame()
        self._ready = b""
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            rest = self._frame.unused_data if self._frame.eof else b""
            packed = rest or self._file.read(_CHUNK // 8)
            if not packed:
                if self._begun and not self._frame.eof:
                    raise EOFError("compressed file ended before the end-of-frame marker was reached")
                return 0
            if self._frame.eof:
                packed = packed.lstrip(b"\0")  # archives may be filled up to a block
                self._frame = self._new()
                if not packed:
                    self._begun = False
                    continue
            self._begun = True
            self._ready = self._frame.decompress(packed)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


_DAMAGED = (EOFError, zlib.error, zstandard.ZstdError, OSError)


def _bounded_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines, each at most a little over the limit; the rest of a longer one is skipped."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (more := file.readline(_CHUNK)) and not more.endswith(b"\n"):
                pass
        yield line


def _json_line_rows(path: Path) -> Iterator[SourceRow]:
    number = 0
    with opened(path) as file:
        try:
            for number, line in enumerate(_bounded_lines(file), start=1):
                if line.isspace():
                    continue
                if len(line) > MAX_LINE_BYTES:
                    problem = f"line of more than {MAX_LINE_BYTES:,} bytes"
                    yield SourceRow(number, None, len(line), shown(line), problem)
                    continue
                yield from _unwrapped(_row(number, line))
        except _DAMAGED as error:
            yield SourceRow(
                number + 1, None, 0, "", f"the file ends early or is damaged from here on: {error}"
            )


def _row(number: int, text: bytes) -> SourceRow:
    try:
        value = msgspec.json.decode(text)
    except UnicodeDecodeError:
        return SourceRow(number, None, len(text), shown(text), "not valid UTF-8")
    except msgspec.DecodeError as error:
        try:
            text.decode()
        except UnicodeDecodeError:
            return SourceRow(number, None, len(text), shown(text), "not valid UTF-8")
        return SourceRow(number, None, len(text), shown(text), f"not valid JSON: {error}")
    except RecursionError:
        return SourceRow(number, None, len(text), shown(text), "JSON nested too deeply")
    if not isinstance(value, dict):
        return SourceRow(
            number, None, len(text), shown(text), f"expected a JSON object, got {type(value).__name__}"
        )
    return SourceRow(number, value, len(text), shown(text))


def _unwrapped(row: SourceRow) -> Iterator[SourceRow]:
    """The records of a page as APIs return it (``{"object": "list", "data": […]}``), else the row itself."""
    value = row.value
    names = [] if value is None else [name for name in value if name not in _OF_A_PAGE]
    listed = value[names[0]] if value and len(names) == 1 and names[0] in _ENVELOPES else None
    if not (isinstance(listed, list) and listed and all(isinstance(one, dict) for one in listed)):
        yield row
        return
    for one in listed:
        text = msgspec.json.encode(one)
        yield SourceRow(row.line, one, len(text), shown(text))


def _json_rows(path: Path) -> Iterator[SourceRow]:
    """Objects of an array, or documents one after another, however they are broken into lines."""
    decoder = json.JSONDecoder()
    with opened(path) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
        buffer, at, line, ended, in_array, failure = "", 0, 1, False, None, ""
        want = _CHUNK
        while True:
            while at < len(buffer) and buffer[at] in " \t\r\n,":
                line += buffer[at] == "\n"
                at += 1
            if in_array is None and at < len(buffer):
                in_array = buffer[at] == "["
                at += in_array
                continue
            if in_array and at < len(buffer) and buffer[at] == "]":
                in_array, at = None, at + 1  # another array may follow
                continue
            if at < len(buffer):
                try:
                    _, end = decoder.raw_decode(buffer, at)
                except RecursionError:
                    yield SourceRow(
                        line, None, 0, "", "JSON nested too deeply; nothing after it could be read"
                    )
                    return
                except json.JSONDecodeError as error:
                    failure, end = str(error), None
                    # What merely goes on beyond the buffer fails at its end, or in a string not yet closed.
                    broken = not error.msg.startswith("Unterminated") and error.pos < len(buffer) - 8
                    ended = ended or broken
                if end is not None and (end < len(buffer) or ended):
                    piece = buffer[at:end]
                    yield from _unwrapped(_row(line, piece.encode("utf-8", "surrogateescape")))
                    line += piece.count("\n")
                    at, want = end, _CHUNK
                    if in_array is False:
                        in_array = None
                    continue
            if ended:
                if at < len(buffer):
                    reason = f"not valid JSON: {failure}; nothing after it could be read"
                    rest = buffer[at : at + SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
                    yield SourceRow(line, None, len(buffer) - at, rest, reason)
                return
            if len(buffer) - at > MAX_DOCUMENT_CHARACTERS:
                reason = "one JSON document of more than 256 MiB; make JSON lines of it: jq -c '.data[]'"
                yield SourceRow(line, None, len(buffer) - at, buffer[at : at + 200], reason)
                return
            try:
                more = text.read(want)
            except _DAMAGED as error:
                yield SourceRow(line, None, 0, "", f"the file ends early or is damaged from here on: {error}")
                more = ""
            want *= 2
            ended = not more
            buffer, at = buffer[at:] + more, 0


def _csv_rows(path: Path) -> Iterator[SourceRow]:
    csv.field_size_limit(MAX_RECORD_BYTES)
    with opened(path) as raw:
        # Bytes that are no UTF-8 become lone surrogates, so that their row can be rejected by its number.
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
        began = 1
        try:
            reader = csv.reader(text, delimiter=_delimiter(path, text))
            header = next(reader, None)
        except (csv.Error, *_DAMAGED) as error:
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
            except _DAMAGED as error:
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


def _arrow_rows(path: Path, container: Container) -> Iterator[SourceRow]:
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
    except pyarrow.ArrowException as error:
        if number == 0:
            raise InputError(f"cannot be read as {container}: {error}", path=str(path)) from None
        yield SourceRow(number + 1, None, 0, "", f"the file is damaged from here on: {error}")


def _batches(path: Path, container: Container) -> Iterable[Any]:
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
    noted = _decoded((metadata or {}).get(b"huggingface", b"{}"))
    features = ((noted or {}).get("info") or {}).get("features") or {}
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def shown(text: bytes) -> str:
    """The beginning of a record, as a reject shows it."""
    return text[:SHOWN_CHARACTERS].decode("utf-8", "replace")
