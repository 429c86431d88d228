"""The audit record: who changed what, when, from where and why. It only grows.

Triggers refuse UPDATE and DELETE. Each entry carries the hash of the one before, and the store keeps number and hash of
the last one besides, so that an entry that was changed or cut out in spite of them is noticed by `check`. What is not
covered: an attacker who may write to the database and makes the whole chain newly; note the last entry elsewhere, and
give it to `check` as `head`.
"""

from __future__ import annotations

import getpass
import hashlib
import socket
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, text

from freehold.store.database import Database
from freehold.store.tables import audit, from_micros, store_facts, to_micros
from freehold.types.audit import AuditCheck, AuditEntry, change_source
from freehold.types.record import canonical_json

_HEAD = "audit_head"
_LOCK = 0x6175646974  # "audit"
_PAGE = 500
_WORDS_MAX = 2


def note(
    database: Database,
    action: str,
    subject: str,
    *,
    who: str,
    at: datetime,
    why: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEntry:
    """Add an entry about a change that was made. `action` is ``key.add``, ``export`` …, `subject` its name, never a
    person's words. Raises `StorageError`."""
    with database.writing() as connection:
        return append(connection, action, subject, who=who, at=at, why=why, detail=detail)


def append(
    connection: Connection,
    action: str,
    subject: str,
    *,
    who: str,
    at: datetime,
    why: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEntry:
    """The same inside the transaction of the change, so that neither is kept without the other."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    number, previous = _head(connection)
    entry = AuditEntry(
        number=number + 1,
        at=from_micros(to_micros(at)),
        who=who,
        source=change_source.get() or this_process(),
        action=action,
        subject=subject,
        why=why,
        detail=detail or {},
        previous=previous,
    )
    entry = msgspec.structs.replace(entry, hash=hash_of(entry))
    connection.execute(
        insert(audit).values(
            number=entry.number,
            at=to_micros(entry.at),
            who=entry.who,
            source=entry.source,
            action=entry.action,
            subject=entry.subject,
            why=entry.why,
            detail=canonical_json(entry.detail).decode(),
            previous=entry.previous,
            hash=entry.hash,
        )
    )
    connection.execute(delete(store_facts).where(store_facts.c.name == _HEAD))
    connection.execute(insert(store_facts).values(name=_HEAD, value=f"{entry.number}:{entry.hash}"))
    return entry


def entries(database: Database, *, after: int = 0) -> Iterator[AuditEntry]:
    """All entries after a number, oldest first, read in pages."""
    while True:
        query = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(_PAGE)
        with database.reading() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return
        for row in rows:
            values = dict(row._mapping)
            yield AuditEntry(
                **{
                    **values,
                    "at": from_micros(row.at),
                    "detail": msgspec.json.decode(row.detail, type=dict[str, Any]),
                }
            )
        after = rows[-1].number


def check(database: Database, *, head: str | None = None) -> AuditCheck:
    """Whether the chain is whole, from the first entry to the last that the store knows of. `head` is ``NUMBER:HASH``
    as it was noted elsewhere: that entry must still be there."""
    faults: list[str] = []
    number, previous, noted = 0, "", head is None
    for entry in entries(database):
        if entry.number != number + 1:
            faults.append(f"entries {number + 1} to {entry.number - 1} are missing")
        elif entry.previous != previous:
            faults.append(f"entry {entry.number} does not follow the one before it")
        if hash_of(entry) != entry.hash:
            faults.append(f"entry {entry.number} was changed")
        number, previous = entry.number, entry.hash
        noted = noted or head == f"{number}:{previous}"
    with database.reading() as connection:
        last = _head(connection)
    if last != (number, previous):
        faults.append(f"the last entry is {number}, and {last[0]} is known to have been there")
    if not noted:
        faults.append(f"the entry that was noted is not there: {head}")
    return AuditCheck(entries=number, head=f"{number}:{previous}", faults=tuple(faults))


def hash_of(entry: AuditEntry) -> str:
    """SHA-256 over everything an entry says, the hash of the one before included."""
    return hashlib.sha256(canonical_json(msgspec.structs.replace(entry, hash=""))).hexdigest()


def this_process() -> str:
    """Host, user and command of this process. Of the command its first words only: options may name a person."""
    words = []
    for word in sys.argv[1 : 1 + _WORDS_MAX]:
        if word.startswith("-"):
            break
        words.append(word)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}: {' '.join(words) or 'freehold'}"


def _head(connection: Connection) -> tuple[int, str]:
    found = connection.execute(select(store_facts.c.value).where(store_facts.c.name == _HEAD)).scalar()
    number, _, last = (found or "0:").partition(":")
    return int(number), last
