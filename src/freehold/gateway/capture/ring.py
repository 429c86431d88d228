"""The recorder's look at routes and keys: reads them from the store, and leaves them where new workers find them.

Workers let in only what is in the last ring they have seen. A ring is the routes and keys of one moment, or the reason
why no key can be believed. It also lies in the run folder, so that a worker that starts next to a stuck recorder or a
locked store goes on with the right keys instead of none.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import KeysUnavailableError, StoreError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits import key_requirement
from freehold.gateway.messages import RING_FILE, TableMessage
from freehold.store import Store, open_store
from freehold.store.database import store_file
from freehold.store.routes import stored_keys

log = logging.getLogger("freehold.gateway.recorder")
# Shorter than a store's usual patience: while another process holds the lock, this one must still say that it lives.
_BUSY_TIMEOUT_MS = 2000


class Ring:
    """Follows routes and keys. Use it from one thread."""

    def __init__(self, config: GatewayConfig, run_folder: Path | None = None) -> None:
        assert config.store_url is not None
        self._store_url = config.store_url
        self._path = None if run_folder is None else run_folder / RING_FILE
        # In the run folder, so that a recorder that is started again knows it as well.
        self._opened = None if run_folder is None else run_folder / "store-opened"
        self._store_file = store_file(config.store_url)
        self._requirement = requirement_file(config)
        self._last: bytes | None = None
        self._rollbacks: dict[str, int] = {}
        self._counted_at = -1
        self._seen: tuple[int, int] | None = None

    def opened(self) -> Store:
        """The store. Where keys are required, or a recorder of this run had it open, it is not made newly.

        Raises `StorageError`.
        """
        key_requirement.check_file(self._requirement, self._store_file)
        opened = self._opened
        if (
            self._store_file is not None
            and opened is not None
            and opened.exists()
            and not self._store_file.exists()
        ):
            # A new one would take what is recorded now, and lose it when the old one is put back.
            raise StoreError(
                f"the store {self._store_file} is gone: what is recorded waits until it is back",
                hint="put it back, or start the gateway again to begin a new one",
            )
        store = open_store(self._store_url, busy_timeout_ms=_BUSY_TIMEOUT_MS)
        if opened is not None:
            with contextlib.suppress(OSError):
                opened.touch()
        return store

    def requirement_changed(self) -> bool:
        """Whether the file that says that keys are required was written since it was last asked."""
        before, self._seen = self._seen, self._stamp()
        return before != self._seen

    def read(self, store: Store) -> bytes | None:
        """The ring as the store has it now; None when it is the last one. Raises `StorageError`."""
        found = stored_keys(store.database)
        revision, routes = store.routes_revision(), tuple(store.routes())
        required = key_requirement.reconcile(
            self._requirement,
            store_id=found.store_id,
            changes=found.changes,
            has_keys=bool(found.keys or found.damaged),
            forgotten=found.forgotten,
            at=datetime.now(UTC),
        )
        if revision != self._counted_at:
            self._rollbacks, self._counted_at = store.rollbacks(), revision
        message = TableMessage(
            routes=routes,
            keys=found.keys,
            labels=found.labels,
            revision=revision,
            required=required,
            rollbacks=self._rollbacks,
        )
        return self._left(message)

    def refusal(self, error: KeysUnavailableError) -> bytes | None:
        """The ring that lets no client in; None when it is the last one."""
        return self._left(TableMessage(routes=(), required=True, problem=error.message))

    def _left(self, message: TableMessage) -> bytes | None:
        data = msgspec.json.encode(message)
        if data == self._last:
            return None
        assert self._path is not None
        try:
            files.write(self._path, data, private=True)
        except OSError as error:
            # Workers that run are told all the same; one that starts waits to be told.
            log.warning("the keys could not be left for new workers: %s", error)
            self._path.unlink(missing_ok=True)
        self._last = data
        return data

    def _stamp(self) -> tuple[int, int] | None:
        if self._requirement is None:
            return None
        try:
            found = self._requirement.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


def requirement_file(config: GatewayConfig) -> Path | None:
    """Where it is kept that keys are required: the project's file, else one next to an SQLite store."""
    if config.keys_file is not None:
        return Path(config.keys_file)
    if config.store_url is None:
        return None
    file = store_file(config.store_url)
    return None if file is None else file.with_name(f"{file.name}.{key_requirement.KEYS_FILE}")


def check(config: GatewayConfig) -> None:
    """Before a gateway starts: the store is there, and is the one that holds the keys. Raises `StorageError`."""
    with Ring(config).opened() as store:
        found = stored_keys(store.database)
    known = key_requirement.read(requirement_file(config))
    if known is not None:
        key_requirement.check_store(known, store_id=found.store_id, changes=found.changes)
