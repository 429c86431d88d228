"""What every request of the console passes: the host name, the page it comes from, the visitor's token; and how errors
and headers leave.

Loopback unless configured otherwise, the token never in a page, an address that is sent, a cookie or a log, requests
under another host name refused (DNS rebinding), changes only from this page's own origin, and nothing but this server's
own files runs in the page (content security policy; trusted types keep any text from becoming markup).

A visitor shows a token with each request, as ``Authorization: Bearer``: the token of the address that `freehold
console` printed, or that of a session, which is given for a key of the role read, operate or admin. There is no
cookie: a browser sends those to every port of a host, so any other service of this machine that the same browser
visits could take one and use it here. The page keeps the token in its session storage, which is of one port. A session
ends after `SESSION_S`, and at once when its key is revoked, expires or is given another role.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, NamedTuple

from freehold.console.screens import ProjectStore
from freehold.errors import FreeholdError, RevisionError, StorageError, StoreError, UsageError
from freehold.late import web
from freehold.store import Store
from freehold.types.route import PERMISSIONS, Permission, Role
from freehold.wire.hosts import HostPolicy
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


HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "freehold",
}
REFUSALS: dict[Permission, str] = {
    "look": "the role {role} opens no screen here",
    "content": "the role {role} may look at numbers, and not at what customers write",
    "change": "the role {role} may look, and change nothing",
    "keys": "the role {role} may not manage keys",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
visitor_now: ContextVar[Visitor] = ContextVar("visitor_now")
"""Who made the request that is being answered."""


def guard(sessions: Sessions, hosts: HostPolicy, store: ProjectStore) -> Any:
    """The middleware that lets only a visitor's own requests through."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        names = request.headers.getall("Host", [])
        if len(names) != 1 or not hosts.accepts(names[0]):
            return error_response(421, "this console does not answer to that host name")
        # TLS, if any, ends at a proxy that passes the name on.
        own = {f"http://{names[0]}", f"https://{names[0]}"}
        if request.method != "GET" and request.headers.get("Origin") not in own:
            return error_response(403, "changes are taken from the console's own page only")
        path = request.path
        if path.startswith("/reports/"):
            name, _, _ = path.removeprefix("/reports/").partition("/")
            if not sessions.redeem(name, request.query.get("ticket", "")):
                return error_response(401, "open reports from the console's page: a link to one is good once")
        elif path not in ("/", "/api/login") and not path.startswith("/static/"):
            token = shown_token(request)
            # The printed address opens the console also while the store cannot be read.
            visitor = sessions.printed(token)
            if visitor is None:
                visitor = await asyncio.to_thread(lambda: sessions.visitor(store.get(), token))
            if visitor is None:
                return error_response(
                    401, "open the address that freehold console printed, or show a key of the gateway"
                )
            visitor_now.set(visitor)
        return await handler(request)

    return guarded


def refusal(*needs: Permission) -> web.Response | None:
    """What a visitor who may not do all of this is answered; None for one who may."""
    visitor = visitor_now.get()
    for one in needs:
        if not visitor.may(one):
            return error_response(403, REFUSALS[one].format(role=visitor.role))
    return None


def shown_token(request: web.Request) -> str:
    """The token that a request shows; empty where it shows none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


@web.middleware
async def plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """freehold's errors as JSON a page can show, and the same headers on every response."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = error if error.status < 400 else error_response(error.status, error.reason)
    except FreeholdError as error:
        # Another one was faster: the store is whole.
        broken = isinstance(error, StorageError | StoreError) and not isinstance(error, RevisionError)
        status = 503 if broken else 409
        response = error_response(status, error.message, hint=error.hint)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if isinstance(response, web.HTTPException):
        raise response
    return response


def error_response(status: int, message: str, *, hint: str | None = None) -> web.Response:
    """An error as the page reads it."""
    return web.json_response({"error": message, "hint": hint}, status=status, headers=HEADERS)
