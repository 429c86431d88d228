"""A project's store, opened; who works on the project now, and what was changed by whom. Apart from `project`, because
a database library takes a while to import.

The lock lets one of a kind work at a time: a lease in the store that says who holds it and since when, and that its
holder prolongs. Where the holder can be seen from here, its process decides: as long as that lives, stopped or
slow, the lock is held, and when it has ended, the next one takes over at once. The holder of another machine is
believed until its lease has run out, `LEASE_SECONDS` after its last sign of life. Not covered: clocks of two
machines that differ by more than a lease.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import make_url

from freehold.errors import StorageError, UsageError
from freehold.processes import RunningProcess, Standing, described, standing
from freehold.store import Store, audit, leases, open_store
from freehold.store.database import Database
from freehold.types.audit import AuditCheck, AuditEntry
from freehold.types.record import Record, StoredRecord
from freehold.workflows.project import Project


@contextmanager
def opened_store(project: Project, *, reads: bool = False) -> Iterator[tuple[Store, Project]]:
    """The project's store, open for as long as the block runs, and the project. A command that only `reads` makes
    none."""
    with open_store(project.reading_url if reads else project.store_url) as store:
        yield store, project


log = logging.getLogger(__name__)

LEASE_SECONDS = 120.0
PROLONG_SECONDS = 20.0
_RETRY_SECONDS = 5.0


class LockHolder(RunningProcess, frozen=True, kw_only=True):
    """Who holds a lock, as it stands in the store. `command` is what was typed."""

    command: str
    since: datetime


class HeldLock(Record, frozen=True, kw_only=True):
    """A lock that is, or was, held. `silent_seconds` is the time since the holder's last sign of life.

    `where` says what has become of the holder's process; with `free` the next one may take the lock over.
    """

    name: str
    holder: LockHolder
    where: Standing
    age_seconds: float
    silent_seconds: float
    free: bool

    @property
    def who(self) -> str:
        """The holder in words."""
        holder = self.holder
        return (
            f"{holder.command}, process {holder.pid} on {holder.host}, "
            f"since {holder.since:%Y-%m-%d %H:%M:%S} UTC ({_in_words(self.age_seconds)})"
        )


class LockedError(UsageError):
    """Another process does the same in this project. `held` says which."""

    retryable = True

    def __init__(self, held: HeldLock) -> None:
        holder = held.holder
        if held.where == "alive":
            hint = f"wait for it, or stop it: kill {holder.pid}"
        else:
            left = max(LEASE_SECONDS - held.silent_seconds, 0.0)
            hint = f"wait for it; if it has died there, the same command goes on here in {left:.0f} s"
        super().__init__(f"one {held.name} at a time in a project; this one runs: {held.who}", hint=hint)
        self.held = held

    def told(self) -> dict[str, Any]:
        """Who holds it."""
        return {"lock": self.held}


class ProjectLock:
    """A lock that this process holds, and prolongs in a thread of its own."""

    def __init__(self, store: Store, name: str, owner: str) -> None:
        self._database, self._name, self._owner = store.database, name, owner
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._prolong, name=f"lock {name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `UsageError` when another process has taken the lock over, so that two never write the same."""
        if self._lost:
            raise UsageError(
                f"this {self._name} gave no sign of life for so long that another one took its place",
                hint="what was finished is kept; run the same command again when the other one has ended",
            )

    def _prolong(self) -> None:
        pause = PROLONG_SECONDS
        while not self._ended.wait(pause):
            pause = PROLONG_SECONDS
            try:
                self._lost = not _swap(self._database, self._name, self._owner, self._owner)
            except StorageError as error:
                log.warning("the lock of this %s cannot be prolonged: %s", self._name, error.message)
                pause = _RETRY_SECONDS
            if self._lost:
                log.warning("the lock of this %s was taken over", self._name)
                return

    def end(self) -> None:
        """Give it back."""
        self._ended.set()
        self._thread.join()
        try:
            leases.give_back(self._database, self._name, self._owner)
        except StorageError as error:  # the next one takes it over when this process has ended
            log.warning("the lock of this %s cannot be given back: %s", self._name, error.message)


@contextmanager
def one_at_a_time(
    store: Store, name: str, *, say: Callable[[str], None] = lambda text: None
) -> Iterator[ProjectLock]:
    """Hold the lock `name` of a store's project while the block runs.

    `say` is told of a holder that ended without giving it back. Raises `LockedError` where another process holds it.
    """
    fields = {**described(os.getpid(), _folder(store)), "command": _command(), "since": datetime.now(UTC)}
    owner = msgspec.json.encode(msgspec.convert(fields, LockHolder)).decode()
    while True:
        former = leases.held(store.database, name)
        if former is None:
            if leases.take(store.database, name, owner, at=datetime.now(UTC), seconds=LEASE_SECONDS):
                break
            continue
        held = _read(store, name, *former)
        if not held.free:
            raise LockedError(held)
        if _swap(store.database, name, owner, former[0]):
            log.info("the lock %s was left by %s", name, held.who)
            if held.where != "copied":
                say(f"an earlier {name} ended before it was done ({held.who}); this one goes on from there")
            break
    lock = ProjectLock(store, name, owner)
    try:
        yield lock
    finally:
        lock.end()


def _swap(database: Database, name: str, owner: str, former: str) -> bool:
    return leases.take_from(database, name, owner, former, at=datetime.now(UTC), seconds=LEASE_SECONDS)


def _read(store: Store, name: str, owner: str, until: datetime) -> HeldLock:
    last_sign = until - timedelta(seconds=LEASE_SECONDS)
    try:
        holder = msgspec.json.decode(owner, type=LockHolder)
    except msgspec.MsgspecError:  # of a version that writes something else
        holder = LockHolder(pid=0, started=0.0, host="another host", command=owner[:80], since=last_sign)
    now = datetime.now(UTC)
    where = standing(holder, _folder(store)) if holder.pid else "elsewhere"
    return HeldLock(
        name=name,
        holder=holder,
        where=where,
        age_seconds=max((now - holder.since).total_seconds(), 0.0),
        silent_seconds=(now - last_sign).total_seconds(),
        free=where in ("ended", "copied") or (where == "elsewhere" and now >= until),
    )


def _folder(store: Store) -> Path | None:
    """Where the store's file is, so that a copy's lock is not taken for the original's; None for a server's."""
    url = make_url(store.url)
    return Path(url.database).parent if url.get_backend_name() == "sqlite" and url.database else None


def _command() -> str:
    return shlex.join(["freehold", *sys.argv[1:]])[:200]


def _in_words(seconds: float) -> str:
    """``42 s``, ``7 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def audit_entries(store: Store, *, action: str | None = None) -> Iterator[AuditEntry]:
    """Entries of an action, or all, oldest first. `action` may be the part before the dot: ``key``."""
    for entry in audit.entries(store.database):
        if action is None or entry.action == action or entry.action.startswith(f"{action}."):
            yield entry


def audit_check(store: Store, *, head: str | None = None) -> AuditCheck:
    """Whether nothing was changed or cut out."""
    return audit.check(store.database, head=head)


R = TypeVar("R", bound=StoredRecord)


def meant(records: Sequence[R], id_begins: str | None, noun: str, *, hint: str) -> R | None:
    """The record whose id begins so; without one the last, None where there is none. Raises `UsageError`."""
    if id_begins is None:
        return records[-1] if records else None
    matches = [record for record in records if record.key.startswith(id_begins)]
    if len(matches) != 1:
        count = len(matches) or "no"
        raise UsageError(f"{count} {noun}s have an id that begins with {id_begins[:32]}", hint=hint)
    return matches[0]
