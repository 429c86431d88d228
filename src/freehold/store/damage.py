"""Rows that were read and are not what was written: each is left out, named once in the log, and counted.

One count for the process, because a command opens the store in several places and says at its end what it left out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from shlex import quote
from typing import NamedTuple, TypeVar

from freehold.errors import StoreError

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
