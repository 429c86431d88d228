"""Files opened for reading: decompressed by what they begin with, cut off without losing what came before."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from freehold.datasets.importing.records import SHOWN_CHARACTERS
from freehold.errors import InputError
from freehold.late import zstandard
from freehold.types.units import MIB
from freehold.unpacking import check_ratio

MAX_LINE_BYTES = 64 * MIB
CHUNK_BYTES = MIB
# What one piece can unpack to at most: a thousand times its size with gzip, thirty thousand with Zstandard.
_GZIP_PIECE_BYTES, _ZSTD_PIECE_BYTES = 16 * 1024, 1024
DAMAGED = (EOFError, zlib.error, OSError)
"""What reading a damaged file raises."""


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder. Raises `InputError` when it cannot be looked at."""
    try:
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> InputError:
    """The error for a file that the system does not let freehold read."""
    if isinstance(error, FileNotFoundError):
        return InputError(
            "no such file", path=str(path), hint="paths in freehold.toml are relative to that file"
        )
    return InputError(f"cannot be read: {error.strerror or error}", path=str(path))


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
        gzip = _Packed(file, lambda: zlib.decompressobj(wbits=31), _GZIP_PIECE_BYTES, str(path))
        return io.BufferedReader(gzip, CHUNK_BYTES)
    if start == b"\x28\xb5\x2f\xfd":
        zstd = _Packed(file, _ZstdFrame, _ZSTD_PIECE_BYTES, str(path))
        return io.BufferedReader(zstd, CHUNK_BYTES)
    if start[:3] == b"\xef\xbb\xbf":
        file.seek(3)
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
        self._file = file
        self._piece_bytes = piece_bytes
        self._path = path
        self._packed_bytes = self._unpacked_bytes = 0
        self._new = frame
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


class SourceRow(NamedTuple):
    """One record as it stands in a file. `problem` says why `value` could not be read."""

    line: int
    value: dict[str, Any] | None
    size: int
    text: str = ""
    problem: str | None = None


def shown(text: bytes) -> str:
    """The beginning of a record, as a reject shows it."""
    return text[:SHOWN_CHARACTERS].decode("utf-8", "replace")


def json_or_none(text: bytes) -> Any:
    """A JSON value; None where the text is not one."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
