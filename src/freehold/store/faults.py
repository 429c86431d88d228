"""The database's errors become freehold's at this boundary, each with its way out."""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, ResourceClosedError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from freehold.errors import FreeholdError, StorageError, StoreError
from freehold.store.damage import way_back

log = logging.getLogger(__name__)

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
