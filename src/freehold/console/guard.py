"""What every request of the console passes: the host name, the page it comes from, the visitor's token; and how errors
and headers leave.

Loopback unless configured otherwise, the token never in a page, an address that is sent, a cookie or a log, requests
under another host name refused (DNS rebinding), changes only from this page's own origin, and nothing but this server's
own files runs in the page (content security policy; trusted types keep any text from becoming markup).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from freehold.console.screens import ProjectStore
from freehold.console.sessions import Sessions, Visitor
from freehold.errors import FreeholdError, RevisionError, StorageError, StoreError
from freehold.late import web
from freehold.types.route import Permission
from freehold.wire.hosts import HostPolicy

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
