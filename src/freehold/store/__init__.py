"""The database: SQLite by default, PostgreSQL by URL. Writes what it is given: no clock, no own ids.

Covered: several threads and processes on one SQLite file (WAL, waits for locks up to ten seconds), several
machines on one PostgreSQL.
Not covered: SQLite on a network drive; stores of another version of freehold.
"""

from __future__ import annotations

from types import TracebackType

from freehold.store.database import BUSY_TIMEOUT_MS, Database
from freehold.store.database import default_url as default_url
from freehold.store.records import RecordStore
from freehold.store.routes import RouteStore
from freehold.store.traces import TraceStore


def open_store(url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Store:
    """Open, and where needed create, the store at a SQLAlchemy URL.

    Raises `StoreError` or `StorageError` when it is locked, read-only, damaged, on a full disk or of
    another version; `ConfigError` when the URL is none; `MissingExtraError` without the PostgreSQL driver.
    """
    return Store(Database(url, busy_timeout_ms=busy_timeout_ms))


class Store(RecordStore, TraceStore, RouteStore):
    """An open store; a context manager. Safe to share between threads, not between processes."""

    @property
    def url(self) -> str:
        return self.database.url

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()
