"""Entries of the audit record."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime
from typing import Any

from freehold.types.record import Record

change_source: ContextVar[str | None] = ContextVar("change_source", default=None)
"""Where the changes of this context come from, where it is not this process's own command: a client's address."""

change_why: ContextVar[str] = ContextVar("change_why", default="")
"""The reason that was given for the changes of this context, where a change has none of its own: ``--why``."""

WHY_LENGTH_MAX = 500


class Change(Record, frozen=True, kw_only=True):
    """What is known of a change where it is made. What is None is told by the process that makes it: its user, the
    time, and an action made of the kind of what was changed."""

    action: str | None = None
    who: str | None = None
    at: datetime | None = None
    why: str = ""
    detail: dict[str, Any] = {}


class AuditEntry(Record, frozen=True, kw_only=True):
    """One change: who made it, when (UTC), from where (an address, or user, host and command), and why.

    `previous` and `hash` chain it to the entry before.
    """

    number: int
    at: datetime
    who: str
    source: str
    action: str
    subject: str
    why: str = ""
    detail: dict[str, Any] = {}
    previous: str = ""
    hash: str = ""


class AuditCheck(Record, frozen=True, kw_only=True):
    """What a look at the whole chain found. `head` is ``NUMBER:HASH`` of the last entry, to note elsewhere."""

    entries: int
    head: str
    faults: tuple[str, ...] = ()
