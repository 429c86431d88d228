"""Bodies of rows under a checksum, and damage: each bad row is left out, named once in the log, and counted.

One count for the process, because a command opens the store in several places and says at its end what it left out.

The checksum is CRC-32 (IEEE 802.3, as `zlib.crc32`), which finds every change of one to three bits in bodies up to
11 kB and every burst of up to 32 bits in any body; other damage passes once in 2^32. It is taken over the table's name
and the columns that say which row this is as well, so that a body in another row's place is noticed, too.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from shlex import quote
from typing import NamedTuple, TypeVar

import msgspec
from sqlalchemy.exc import DBAPIError, ResourceClosedError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from freehold.errors import FreeholdError, StorageError, StoreError
from freehold.late import zstandard

log = logging.getLogger(__name__)

MOST_NAMED = 1_000
CHECK_HINT = (
    "freehold store check lists what is damaged; freehold store restore FILE puts a backup in its place"
)
V = TypeVar("V")


def way_back(where: str) -> str:
    """What to do about a store that cannot be read whole: a backup, or what SQLite's own shell can recover."""
    backup = "freehold store restore FILE puts a backup in its place"
    if where.startswith("postgresql:"):
        return backup
    return (
        f"{backup}; without one, sqlite3 {quote(where)} .recover | sqlite3 new.db keeps what can be read, "
        "and freehold store restore new.db puts that in its place"
    )


class DamagedRow(NamedTuple):
    """Where a damaged row is, and how it is known."""

    table: str
    key: str
    reason: str


class DamagedBody(ValueError):
    """Bytes that are not what was written."""


class Damage:
    """The damaged rows seen so far. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], DamagedRow] = {}
        self._more = 0

    def note(self, table: str, key: str, reason: str) -> None:
        """A damaged row was met. One that is known already is neither logged nor counted again."""
        with self._lock:
            if (table, key) in self._rows:
                return
            if len(self._rows) >= MOST_NAMED:
                self._more += 1  # a row met twice counts twice from here on: memory stays bounded
                return
            self._rows[table, key] = DamagedRow(table, key, reason)
        log.warning("the row %s of %s is damaged and left out: %s", key, table, reason)

    def rows(self) -> list[DamagedRow]:
        """The first `MOST_NAMED` damaged rows, in the order they were met."""
        with self._lock:
            return list(self._rows.values())

    def count(self) -> int:
        with self._lock:
            return len(self._rows) + self._more

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()
            self._more = 0


SEEN = Damage()


def unless_damaged(table: str, key: object, read: Callable[[], V]) -> V | None:
    """What `read` returns; None where it finds the row damaged, which is noted. For reads of many rows."""
    try:
        return read()
    except DamagedBody as error:
        SEEN.note(table, str(key), str(error))
        return None


def or_error(table: str, key: object, read: Callable[[], V]) -> V:
    """What `read` returns. Raises `StoreError` where it finds the row damaged: for reads of the one row asked for."""
    try:
        return read()
    except DamagedBody as error:
        raise StoreError(
            f"the row {key} of {table} in the store is damaged: {error}", hint=CHECK_HINT
        ) from None


_LEVEL = 1
_HEAD = struct.Struct(">I")
T = TypeVar("T")


class _Codecs(threading.local):
    """zstandard's contexts may not be shared between threads, and are costly to make."""

    @cached_property
    def compressor(self) -> zstandard.ZstdCompressor:
        return zstandard.ZstdCompressor(level=_LEVEL)

    @cached_property
    def decompressor(self) -> zstandard.ZstdDecompressor:
        return zstandard.ZstdDecompressor()


_codecs = _Codecs()
_BLOCKS = "trace_blocks"


def _about(columns: tuple[object, ...]) -> bytes:
    return "\x1f".join(map(str, columns)).encode()


def _crc(content: bytes, about: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(about))


def seal(content: bytes, *about: object) -> bytes:
    """The bytes that are stored for `content` in the row that `about` tells: its table and key columns."""
    return _HEAD.pack(_crc(content, _about(about))) + content


def unseal(stored: bytes, *about: object) -> bytes:
    """The content that `seal` was given. Raises `DamagedBody`."""
    if not isinstance(stored, bytes):
        # SQLite keeps a value's type next to the value, where it can be damaged as well.
        raise DamagedBody(f"it is of the type {type(stored).__name__}")
    if len(stored) <= _HEAD.size:
        raise DamagedBody("it is cut short")
    content = stored[_HEAD.size :]
    if _HEAD.unpack_from(stored)[0] != _crc(content, _about(about)):
        raise DamagedBody("its checksum is wrong")
    return content


def read_json(stored: bytes, type: type[T], *about: object) -> T:
    """A stored JSON body. Raises `DamagedBody`, and `msgspec.ValidationError` for whole JSON of another shape."""
    return decode(unseal(stored, *about), type)


def decode(content: bytes, type: type[T]) -> T:
    """JSON that was unsealed. Raises as `read_json` does."""
    try:
        return msgspec.json.decode(content, type=type)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedBody(f"it is not JSON ({error})") from None


def pack_lines(lines: Sequence[bytes], place: int) -> bytes:
    """The bytes that are stored for a block of traces, a line of JSON each, whose first has the place `place`."""
    packed: bytes = _codecs.compressor.compress(b"\n".join(lines))
    return seal(packed, _BLOCKS, place)


def unpack_lines(stored: bytes, place: int) -> list[bytes]:
    """The lines that `pack_lines` was given. Raises `DamagedBody`."""
    try:
        unpacked: bytes = _codecs.decompressor.decompress(unseal(stored, _BLOCKS, place))
    except (zstandard.ZstdError, MemoryError) as error:
        raise DamagedBody(f"it cannot be unpacked ({error})") from None
    return unpacked.split(b"\n")


_OF_THE_SERVER = ("08", "25", "28", "3D", "40", "53", "55", "57", "58", "F0", "XX")
"""Classes of SQLSTATE that speak of connections, transactions, rights, space and the server, not of what was sent
(https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
_NO_MORE = "53300"
_NO_MORE_TEXTS = ("too many clients", "too many connections", "connection slots are reserved")
"""Too many connections: while one is begun psycopg tells no SQLSTATE (src/backend/storage/lmgr/proc.c and
src/backend/utils/init/postinit.c of PostgreSQL)."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise `StoreError` or `StorageError` for what the database `where` raises inside."""
    try:
        yield
    except DBAPIError as error:
        raise _ours(error.orig or error, where) from error
    except sqlite3.Error as error:
        raise _ours(error, where) from error
    except PoolTimeoutError as error:
        raise _busy(where) from error
    except UnicodeDecodeError as error:
        # The driver cannot read SQLite's own message where that quotes a damaged file.
        raise _damaged(where) from error
    except ResourceClosedError as error:
        raise StoreError(f"the store at {where} is closed") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _full(where) from error
        raise StorageError(f"{where}: {error.strerror or error}") from error


def may_blame_the_data(error: Exception) -> bool:
    """Whether what was sent may be why a database raised `error`: the rest, sent without it, may be taken.

    False for all that tells of the database itself: locked, full, damaged, gone. A text is not asked: it may quote
    what was sent.
    """
    cause = error.__cause__ if isinstance(error, StorageError) else error
    original = cause.orig if isinstance(cause, DBAPIError) else cause
    if isinstance(original, sqlite3.Error):
        return (
            not isinstance(original, sqlite3.OperationalError) and type(original) is not sqlite3.DatabaseError
        )
    if isinstance(cause, DBAPIError):
        state = getattr(original, "sqlstate", None)
        return state is not None and state[:2] not in _OF_THE_SERVER
    # A number or a text that the driver cannot write.
    return not isinstance(
        cause, (FreeholdError, MemoryError, OSError, SQLAlchemyError, UnicodeDecodeError, type(None))
    )


def _ours(error: BaseException, where: str) -> StorageError:
    text = str(error).lower()
    first_line = str(error).partition("\n")[0]
    if "locked" in text or "busy" in text:
        return _busy(where)
    if "readonly" in text or "read-only" in text or "permission denied" in text:
        return StorageError(
            f"no write access to the store at {where}",
            hint="make the file and its folder writable, or choose another place: FREEHOLD_STATE=…",
        )
    if "disk is full" in text or "no space left" in text or "could not extend file" in text:
        return _full(where)
    if "unable to open" in text:
        return StorageError(
            f"the store at {where} cannot be opened",
            hint="does its folder exist, and may you write there?",
        )
    if "not a database" in text or "malformed" in text:
        return _damaged(where)
    if "disk i/o error" in text:
        return StorageError(
            f"the disk under the store at {where} reports an error",
            hint="is it full? free some space, or move it",
        )
    if getattr(error, "sqlstate", None) == _NO_MORE or any(one in text for one in _NO_MORE_TEXTS):
        crowded = StoreError(
            f"the database at {where} takes no more connections",
            hint="close programs that hold some, or raise its max_connections; each gateway holds a few",
        )
        crowded.retryable = True
        return crowded
    if "connection" in text or "could not translate host" in text or "timeout" in text:
        unreachable = StoreError(
            f"the store at {where} does not answer: {first_line}", hint="is the database running?"
        )
        unreachable.retryable = True
        return unreachable
    return StoreError(f"the store at {where}: {first_line}")


def _busy(where: str) -> StoreError:
    log.info("%s was locked for longer than the time to wait", where)
    error = StoreError(
        f"the store at {where} is locked by another process",
        hint="wait for it to finish, or stop it; a store on a network drive needs PostgreSQL",
    )
    error.retryable = True
    return error


def _damaged(where: str) -> StoreError:
    return StoreError(
        f"{where} is not a freehold store, or is damaged",
        hint=way_back(where),
    )


def _full(where: str) -> StorageError:
    return StorageError(
        f"the disk under the store at {where} is full",
        hint="free some space; nothing already stored is lost",
    )
