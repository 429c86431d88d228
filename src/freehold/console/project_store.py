"""The project's store, opened when it is first needed, and again after it was replaced."""

from __future__ import annotations

import threading

from freehold.store import Store, open_store


class ProjectStore:
    """One open store for all requests. It is not opened at the start, so that a console whose store cannot be read
    still says so, and goes on by itself once it can."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._store: Store | None = None

    def get(self) -> Store:
        """The open store. Raises `StoreError` and `StorageError`."""
        with self._lock:
            if self._store is not None and self._store.database.was_replaced():
                self._store.close()
                self._store = None
            if self._store is None:
                self._store = open_store(self._url)
            return self._store

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None
