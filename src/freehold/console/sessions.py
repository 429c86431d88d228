"""Who looks at the console, and what they may do.

A visitor shows a token with each request, as ``Authorization: Bearer``: the token of the address that `freehold
console` printed, or that of a session, which is given for a key of the role read, operate or admin. There is no
cookie: a browser sends those to every port of a host, so any other service of this machine that the same browser
visits could take one and use it here. The page keeps the token in its session storage, which is of one port.

A session ends after `SESSION_S`, and at once when its key is revoked, expires or is given another role.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from datetime import UTC, datetime
from typing import NamedTuple

from freehold.errors import UsageError
from freehold.store import Store
from freehold.types.route import PERMISSIONS, Permission, Role
from freehold.workflows.shift import keys

SESSION_S = 12 * 3600.0
TICKET_S = 30.0
_MOST = 1000


class Visitor(NamedTuple):
    """A name for the audit record, a role, and whether what customers write is shown whatever the role says: to who
    started the console, and may read the project's files anyway."""

    who: str
    role: Role
    content: bool = False

    @property
    def permissions(self) -> frozenset[Permission]:
        """All that this visitor may do."""
        return PERMISSIONS[self.role] | ({"content"} if self.content else set())

    def may(self, *what: Permission) -> bool:
        """Whether this visitor may do all of this."""
        return self.permissions.issuperset(what)


class _Session(NamedTuple):
    key_hash: str
    until_s: float


class Sessions:
    """Tokens of one console. `token` is that of the printed address, which stands for `visitor`; None where all who
    come have to show a key."""

    def __init__(self, token: str | None, visitor: Visitor) -> None:
        self._token = token
        self._visitor = visitor
        self._sessions: dict[str, _Session] = {}
        self._tickets: dict[str, tuple[str, float]] = {}

    def begin(self, store: Store, key: str) -> tuple[str, Visitor]:
        """A session for a visitor who shows a key of the gateway. Raises `UsageError` where it opens nothing here."""
        found = keys.shown(store, key, at=datetime.now(UTC))
        if found is None or not found.may("look"):
            raise UsageError(
                "this key opens no console", hint="a key in force of the role read, operate or admin does"
            )
        now_s = time.monotonic()
        self._sessions = {id: one for id, one in self._sessions.items() if one.until_s > now_s}
        if len(self._sessions) >= _MOST:
            del self._sessions[next(iter(self._sessions))]
        token = secrets.token_urlsafe(24)
        self._sessions[_digest(token)] = _Session(found.hash, now_s + SESSION_S)
        return token, Visitor(found.name, found.role)

    def visitor(self, store: Store, shown: str) -> Visitor | None:
        """Who shows a token; None where it stands for no visitor, or does no longer. Raises `StoreError`."""
        if (printed := self.printed(shown)) is not None:
            return printed
        session = self._sessions.get(_digest(shown))
        if session is None:
            return None
        key = keys.by_hash(store, session.key_hash, at=datetime.now(UTC))
        if session.until_s <= time.monotonic() or key is None or not key.may("look"):
            self._sessions.pop(_digest(shown), None)
            return None
        return Visitor(key.name, key.role)

    def printed(self, shown: str) -> Visitor | None:
        """The visitor of the printed address, where its token is shown. The store is not asked."""
        if self._token is not None and hmac.compare_digest(_bytes(shown), _bytes(self._token)):
            return self._visitor
        return None

    def end(self, shown: str) -> None:
        """Forget a session."""
        self._sessions.pop(_digest(shown), None)

    def ticket(self, name: str) -> str:
        """A word that opens one page once, soon: a link has no header to show a token in."""
        now_s = time.monotonic()
        self._tickets = {word: one for word, one in self._tickets.items() if one[1] > now_s}
        if len(self._tickets) >= _MOST:
            del self._tickets[next(iter(self._tickets))]
        word = secrets.token_urlsafe(24)
        self._tickets[_digest(word)] = (name, now_s + TICKET_S)
        return word

    def redeem(self, name: str, word: str) -> bool:
        """Whether a ticket opens this page; it does not a second time."""
        known = self._tickets.pop(_digest(word), None)
        return known is not None and known[0] == name and known[1] > time.monotonic()


def _digest(token: str) -> str:
    return hashlib.sha256(_bytes(token)).hexdigest()


def _bytes(token: str) -> bytes:
    """As it was sent: a header may hold any bytes."""
    return token.encode(errors="surrogateescape")
