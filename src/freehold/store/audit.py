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
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from freehold.store.database import Database
from freehold.store.tables import audit, from_micros, one_at_a_time, searchable, store_facts, to_micros
from freehold.types.audit import AuditCheck, AuditEntry, Change, change_source, change_why
from freehold.types.record import canonical_json

LARGE = 1000
"""From this many deletions a day on, an entry is written at once."""
_HEAD = "audit_head"
_TALLY = "audit_tally_"
_ITSELF = "freehold"
_LOCK = 0x6175646974  # "audit"
_PAGE = 500
_WORDS_MAX = 2


def note(
    database: Database,
    action: str,
    subject: str,
    *,
    who: str | None = None,
    at: datetime | None = None,
    why: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEntry:
    """Add an entry about a change that was made. `action` is ``key.add``, ``export`` …, `subject` its name, never a
    person's words; `who` is None for this process's user, `at` for now, and `why` is what `change_why` has
    where it is empty. Raises `StorageError`."""
    with database.writing() as connection:
        return append(connection, action, subject, who=who, at=at, why=why, detail=detail)


def append(
    connection: Connection,
    action: str,
    subject: str,
    *,
    who: str | None = None,
    at: datetime | None = None,
    why: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEntry:
    """The same inside the transaction of the change, so that neither is kept without the other."""
    one_at_a_time(connection, _LOCK)
    number, previous = _head(connection)
    entry = AuditEntry(
        number=number + 1,
        at=from_micros(to_micros(at or datetime.now(UTC))),
        who=searchable(who or this_user()),
        source=searchable(change_source.get() or this_process()),
        action=action,
        subject=searchable(subject),
        why=searchable(why or change_why.get()),
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


def append_change(connection: Connection, action: str, subject: str, change: Change | None) -> AuditEntry:
    """`append` of what the caller knows of a change; `action` where it names none."""
    change = change or Change()
    return append(
        connection,
        change.action or action,
        subject,
        who=change.who,
        at=change.at,
        why=change.why,
        detail=change.detail,
    )


def tally(connection: Connection, action: str, subject: str, count: int, *, at: datetime, why: str) -> None:
    """Count what is done again and again, by no person: one entry for each day, written with the first count of a later
    one; from `LARGE` on at once. Call it inside the transaction of the change."""
    one_at_a_time(connection, _LOCK)
    name, today = f"{_TALLY}{action}", at.date().isoformat()
    known = connection.execute(select(store_facts.c.value).where(store_facts.c.name == name)).scalar()
    day, _, before = (known or f"{today} 0").partition(" ")
    if day != today and int(before):
        append(
            connection,
            action,
            subject,
            who=_ITSELF,
            at=at,
            why=why,
            detail={"day": day, "count": int(before)},
        )
    total = count if day != today else int(before) + count
    if total >= LARGE:
        append(
            connection, action, subject, who=_ITSELF, at=at, why=why, detail={"day": today, "count": total}
        )
        total = 0
    connection.execute(delete(store_facts).where(store_facts.c.name == name))
    connection.execute(insert(store_facts).values(name=name, value=f"{today} {total}"))


def entries(database: Database, *, after: int = 0) -> Iterator[AuditEntry]:
    """All entries after a number, oldest first, read in pages."""
    while True:
        query = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(_PAGE)
        with database.reading() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return
        yield from map(_entry, rows)
        after = rows[-1].number


def newest(
    database: Database,
    *,
    before: int | None = None,
    who: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    most: int,
) -> list[AuditEntry]:
    """The newest entries that meet everything given, newest first, of those with a number lower than `before`.
    `action` may be the part before the dot: ``key``."""
    query = select(audit).order_by(audit.c.number.desc()).limit(most)
    if before is not None:
        query = query.where(audit.c.number < before)
    if who is not None:
        query = query.where(audit.c.who == who)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    if action is not None:
        of_kind = audit.c.action.startswith(f"{action}.", autoescape=True)
        query = query.where((audit.c.action == action) | of_kind)
    with database.reading() as connection:
        return [_entry(row) for row in connection.execute(query).all()]


def _entry(row: Any) -> AuditEntry:
    values = dict(row._mapping)
    values["at"] = from_micros(row.at)
    values["detail"] = msgspec.json.decode(row.detail, type=dict[str, Any])
    return AuditEntry(**values)


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
    return this_machine(" ".join(words) or "freehold")


def this_machine(doing: str) -> str:
    """A source: user and host, and what they are doing (a command, ``observer``)."""
    return f"{this_user()}@{socket.gethostname()}: {doing}"


def this_user() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _head(connection: Connection) -> tuple[int, str]:
    found = connection.execute(select(store_facts.c.value).where(store_facts.c.name == _HEAD)).scalar()
    number, _, last = (found or "0:").partition(":")
    return int(number), last
