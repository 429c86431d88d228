"""Files as rows: JSON lines, JSON documents and arrays, CSV, Parquet, Arrow; plain, gzip or Zstandard. The one reader
of what users and other tools give.

Covered: files of any length (one record, or one batch of Parquet rows, in memory at a time); records spread over
several lines; a byte-order mark; bytes that are not UTF-8 (that record is marked, the others are read); damage, which
loses nothing that came before it. A small file that unpacks without end is refused.
Not covered: UTF-16 (an error that says so); a JSON document of more than 256 MiB that is not an array.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import secrets
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeVar

import msgspec

from freehold.bounded.pool import BoundedCaller, OutOfBoundsError
from freehold.errors import InputError, MissingExtraError
from freehold.files import check_ratio
from freehold.late import zstandard
from freehold.visible import MIB

Container = Literal["json lines", "json", "csv", "parquet", "arrow"]
T = TypeVar("T")
STDIN = Path("-")
"""Stands for what is piped in, which is read at once."""
MAX_RECORD_BYTES = 8 * MIB
MAX_LINE_BYTES = 64 * MIB
MAX_DOCUMENT_CHARACTERS = 256 * MIB
SHOWN_CHARACTERS = 2000
CHUNK_BYTES = MIB
# What one piece can unpack to at most: a thousand times its size with gzip, thirty thousand with Zstandard.
_GZIP_PIECE_BYTES, _ZSTD_PIECE_BYTES = 16 * 1024, 1024
_PEEK_LINES = 50
DAMAGED = (EOFError, zlib.error, OSError)
"""What reading a damaged file raises."""
_BY_NAME: dict[str, Container] = {
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
_ENVELOPES = ("data", "rows", "items", "runs", "observations")
_OF_A_PAGE = frozenset({
    "object", "has_more", "first_id", "last_id", "meta", "cursor", "cursors", "next", "next_cursor", "next_page",
    "total", "count", "page", "page_size", "total_pages", "limit", "offset", "error", "success",
})  # fmt: skip


class Row(NamedTuple):
    """One record as it stands in a file. `problem` says why `value` could not be read; a table has a `header`."""

    line: int
    value: dict[str, Any] | None
    size: int = 0
    raw: bytes | str | None = ""
    problem: str | None = None
    header: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The beginning of the record, as a reject shows it."""
        raw = repr(self.value) if self.raw is None else self.raw
        if isinstance(raw, str):
            raw = raw[:SHOWN_CHARACTERS].encode("utf-8", "replace")
        return raw[:SHOWN_CHARACTERS].decode("utf-8", "replace")


def rows(path: Path, container: Container | None = None) -> Iterator[Row]:
    """Every record of a file, in order. Raises `InputError` when the file itself cannot be read."""
    container = container or container_of(path)
    if container == "parquet" or container == "arrow":
        return _arrow_rows(path, container)
    return {"csv": _csv_rows, "json lines": _json_line_rows, "json": _json_rows}[container](path)


def records(
    path: Path, kind: type[T], what: str, *, container: Container | None = None, hint: str | None = None
) -> Iterator[tuple[int, T]]:
    """Every record of a file as `kind`, with its line. `what` names one. In a table numbers stand as text. Raises
    `InputError` with the line of the first that is not one."""
    for row in rows(path, container):
        yield row.line, record_of(row, kind, what, path, hint=hint)


def record_of(row: Row, kind: type[T], what: str, path: Path, *, hint: str | None = None) -> T:
    """A row as `kind`. Raises `InputError` with its line where it is not one."""
    problem = row.problem
    if row.value is not None:
        try:
            return msgspec.convert(row.value, kind, strict=not row.header, str_keys=True)
        except msgspec.ValidationError as error:
            problem = f"not {what}: {error}"
    if problem is not None and b"NaN" in (row.raw if isinstance(row.raw, bytes) else b""):
        hint = "NaN is not JSON: write null where there is no number"
    raise InputError(problem or "cannot be read", path=str(path), line=row.line, hint=hint)


def container_of(path: Path) -> Container:
    """What kind of file it is: by its name where that is certain, else by how it begins. Raises `InputError`."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zst")
    ending = name[name.rfind(".") :] if "." in name else ""
    if ending in _BY_NAME:
        return _BY_NAME[ending]
    first, count, whole = b"", 0, False
    with opened(path) as file, contextlib.suppress(*DAMAGED):  # damage is reported when the rows are read
        for line in islice(bounded_lines(file), _PEEK_LINES):
            count += 1
            first = first or line.lstrip()
            whole = line.startswith(b"{") and isinstance(json_or_none(line), dict)
            if whole:
                break
    if first.startswith(b"PAR1"):
        return "parquet"
    if first.startswith(b"ARROW1"):
        return "arrow"
    if first.startswith(b"["):
        return "json"
    lines = ending in (".jsonl", ".ndjson")
    if whole or not first.startswith(b"{"):
        is_table = ending == ".txt" and not whole and any(mark in first for mark in (b",", b"\t", b";"))
        return "csv" if is_table else "json lines"
    return "json" if count > 1 and not lines else "json lines"


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder. Raises `InputError` when it cannot be looked at."""
    try:
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> InputError:
    """The error for a file that the system does not let freehold read."""
    if isinstance(error, FileNotFoundError):
        return InputError(
            "no such file", path=str(path), hint="paths in freehold.toml are relative to that file"
        )
    return InputError(f"cannot be read: {error.strerror or error}", path=str(path))


def opened(path: Path) -> IO[bytes]:
    """A file opened for reading bytes, decompressed by what it begins with, without a byte-order mark."""
    try:
        file = io.BytesIO(sys.stdin.buffer.read()) if path == STDIN else path.open("rb")
        start = file.read(4)
        file.seek(0)
    except OSError as error:
        raise _unreadable(path, error) from None
    if start[:2] == b"\x1f\x8b":
        gzip = _Packed(file, lambda: zlib.decompressobj(wbits=31), _GZIP_PIECE_BYTES, str(path))
        return io.BufferedReader(gzip, CHUNK_BYTES)
    if start == b"\x28\xb5\x2f\xfd":
        return io.BufferedReader(_Packed(file, _ZstdFrame, _ZSTD_PIECE_BYTES, str(path)), CHUNK_BYTES)
    if start[:3] == b"\xef\xbb\xbf":
        file.seek(3)
    what = hint = None
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") and b"\0" in start[2:]:
        what, hint = (
            "UTF-16, expected UTF-8",
            f"iconv -f UTF-16 -t UTF-8 {path} > utf8{path.suffix or '.jsonl'}",
        )
    elif start == b"PK\x03\x04":
        what = "a ZIP archive or an Excel workbook"
        hint = "unpack the archive and import what was in it, or save the sheet as CSV (UTF-8)"
    if what is not None:
        file.close()
        raise InputError(f"is {what}", path=str(path), hint=hint)
    return file


class _ZstdFrame:
    """A Zstandard frame as `zlib` has one: what is damaged raises ``zlib.error``."""

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)

    def decompress(self, packed: bytes) -> bytes:
        try:
            unpacked: bytes = self._frame.decompress(packed)
        except zstandard.ZstdError as error:
            raise zlib.error(str(error)) from None
        return unpacked


class _Packed(io.RawIOBase):
    """Decompresses frame after frame, and raises `EOFError` when the last is cut off, but only after all that came
    before the cut: the libraries' own readers lose it, or don't tell. It is fed in pieces that are small even unpacked.
    """

    def __init__(self, file: IO[bytes], frame: Callable[[], Any], piece_bytes: int, path: str) -> None:
        self._file, self._new, self._piece_bytes, self._path = file, frame, piece_bytes, path
        self._packed_bytes = self._unpacked_bytes = 0
        self._frame = frame()
        self._ready = b""
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            rest = self._frame.unused_data if self._frame.eof else b""
            packed = rest or self._file.read(self._piece_bytes)
            self._packed_bytes += 0 if rest else len(packed)
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
            self._unpacked_bytes += len(self._ready)
            check_ratio(self._packed_bytes, self._unpacked_bytes, self._path)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def bounded_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines, each at most a little over the limit; the rest of a longer one is skipped."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (more := file.readline(CHUNK_BYTES)) and not more.endswith(b"\n"):
                pass
        yield line


def json_or_none(text: bytes) -> Any:
    """A JSON value; None where the text is not one."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _damaged(line: int, error: Exception) -> Row:
    return Row(line, None, problem=f"the file ends early or is damaged from here on: {error}")


def _json_line_rows(path: Path) -> Iterator[Row]:
    """A record a line."""
    number = 0
    with opened(path) as file:
        try:
            for number, line in enumerate(bounded_lines(file), start=1):
                if len(line) > MAX_LINE_BYTES:
                    yield Row(number, None, len(line), line, f"line of more than {MAX_LINE_BYTES:,} bytes")
                elif not line.isspace():
                    yield from _of_json(number, line)
        except DAMAGED as error:
            yield _damaged(number + 1, error)


def _of_json(number: int, raw: bytes) -> Iterator[Row]:
    """The record that is this text, or those of a page as APIs return it (``{"object": "list", "data": […]}``)."""
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        value, problem = None, "JSON nested too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        value, problem = None, f"not valid JSON: {error}" if _is_utf8(raw) else "not valid UTF-8"
    else:
        problem = f"expected a JSON object, got {type(value).__name__}"
    if not isinstance(value, dict):
        yield Row(number, None, len(raw), raw, problem)
        return
    names = [name for name in value if name not in _OF_A_PAGE]
    listed = value[names[0]] if len(names) == 1 and names[0] in _ENVELOPES else None
    if not (isinstance(listed, list) and listed and all(isinstance(one, dict) for one in listed)):
        yield Row(number, value, len(raw), raw)
        return
    for one in listed:
        text = msgspec.json.encode(one)
        yield Row(number, one, len(text), text)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _json_rows(path: Path) -> Iterator[Row]:
    """Objects of an array, or documents one after another, however they are broken into lines."""
    decoder = json.JSONDecoder()
    with opened(path) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
        buffer, at, line, ended, in_array, failure = "", 0, 1, False, None, ""
        want = CHUNK_BYTES
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
                    yield Row(line, None, problem="JSON nested too deeply; nothing after it could be read")
                    return
                except json.JSONDecodeError as error:
                    failure, end = str(error), None
                    # What merely goes on beyond the buffer fails at its end, or in a string not yet closed.
                    broken = not error.msg.startswith("Unterminated") and error.pos < len(buffer) - 8
                    ended = ended or broken
                if end is not None and (end < len(buffer) or ended):
                    piece = buffer[at:end]
                    yield from _of_json(line, piece.encode("utf-8", "surrogateescape"))
                    line += piece.count("\n")
                    at, want = end, CHUNK_BYTES
                    if in_array is False:
                        in_array = None
                    continue
            reason, rest = "", buffer[at : at + SHOWN_CHARACTERS]
            if ended:
                reason = f"not valid JSON: {failure}; nothing after it could be read"
            elif len(buffer) - at > MAX_DOCUMENT_CHARACTERS:
                reason = "one JSON document of more than 256 MiB; make JSON lines of it: jq -c '.data[]'"
            if reason:
                if rest:
                    yield Row(line, None, len(buffer) - at, rest, reason)
                return
            try:
                more = text.read(want)
            except DAMAGED as error:
                yield _damaged(line, error)
                more = ""
            want *= 2
            ended = not more
            buffer, at = buffer[at:] + more, 0


def _csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file by the names of its header. Raises `InputError` when there is none."""
    csv.field_size_limit(MAX_RECORD_BYTES)
    with opened(path) as raw:
        # Bytes that are not UTF-8 become lone surrogates, so that their row can be rejected by its number.
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
        try:
            reader = csv.reader(text, delimiter=_delimiter(path, text))
            header = tuple(next(reader, ()))
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
                yield Row(began, None, problem=f"not valid CSV: {error} (a quote that is never closed?)")
                continue
            except DAMAGED as error:
                yield _damaged(began, error)
                return
            if not fields:
                continue
            joined = ",".join(fields)
            size, problem = len(joined), None
            if not joined.isascii():
                try:
                    size = len(joined.encode())
                except UnicodeEncodeError:
                    problem = "not valid UTF-8"
            if problem is None and len(fields) > len(header):
                problem = f"{len(fields)} fields, more fields than the header has columns ({len(header)})"
            value = {name: field for name, field in zip(header, fields, strict=False) if field != ""}
            yield Row(reader.line_num, None if problem else value, size, joined, problem, header)


def _delimiter(path: Path, text: io.TextIOWrapper) -> str:
    """The character that splits the header most often: comma, semicolon, tab or bar."""
    if ".tsv" in path.suffixes:
        return "\t"
    start = text.buffer.peek(4096)[:4096] if isinstance(text.buffer, io.BufferedReader) else b""
    first = start.decode("utf-8", "replace").splitlines()[:1] or [""]
    return max(",;\t|", key=first[0].count)


# What a row takes of memory besides its cells: rows without any are bounded, too.
_ROW_BYTES = 64
_CPU_S, _WALL_S = 120.0, 600.0
_reader = BoundedCaller("freehold.rows.columnar_job")
_reader_turn = threading.Lock()


def _arrow_rows(path: Path, container: Literal["parquet", "arrow"]) -> Iterator[Row]:
    """The rows of a Parquet or Arrow file. Raises `MissingExtraError`, and `InputError` also for one that unpacks to
    more than an honest file does."""
    import importlib.util

    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(f"reading {container} files", "parquet")
    packed_bytes = size_bytes(path)
    token, number, unpacked_bytes = secrets.token_bytes(8), 0, 0
    given = (token, str(path.absolute()).encode("utf-8", "surrogateescape"), container.encode())
    try:
        while True:
            standing, encoded, why = _asked("rows", (*given, b"%d" % number), path)
            unpacked_bytes = int(why) if standing == b"packed" else unpacked_bytes + len(encoded)
            for value in msgspec.msgpack.decode(encoded, type=list[dict[str, Any]]):
                number += 1
                unpacked_bytes += _ROW_BYTES
                check_ratio(packed_bytes, unpacked_bytes, str(path))
                plain = {key: one for key, one in value.items() if one is not None}
                yield Row(number, plain, raw=None)
            check_ratio(packed_bytes, unpacked_bytes, str(path))
            if standing == b"damaged":
                words = why.decode("utf-8", "replace")
                if number == 0:
                    raise InputError(f"cannot be read as {container}: {words}", path=str(path))
                yield Row(number + 1, None, problem=f"the file is damaged from here on: {words}")
            if standing != b"rows":
                return
    finally:
        with contextlib.suppress(InputError):
            _asked("close", (token,), path)


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
