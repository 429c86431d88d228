"""Keeps the credentials of one endpoint fresh, off the hot path.

Newer ones are fetched in a thread before those at hand end; a request waits only where there are none, and for
`within_s` at most. A source that hangs, or fails, costs each request no more than the first: while it is known to,
they are refused at once, with its reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time

from freehold.signing.source import TITLES, CredentialSource, Issued, reason_of, why_ended
from freehold.types.endpoint import CloudCredentials

log = logging.getLogger("freehold.gateway")
WITHIN_S = 5.0
"""How long a request waits for credentials."""
_AGAIN_AFTER_S, _AGAIN_AT_MOST_S = 1.0, 30.0
_DOUBTED_EVERY_S = 30.0


class NoCredentialsError(Exception):
    """A request cannot be sent for want of credentials. Its text is for clients."""


class CredentialKeeper:
    """The credentials of one endpoint in one process. Lives on the event loop."""

    def __init__(
        self,
        endpoint: str,
        cloud: CloudCredentials,
        source: CredentialSource,
        *,
        within_s: float | None = None,
    ) -> None:
        self._within_s = WITHIN_S if within_s is None else within_s
        self.source = source
        self._endpoint = endpoint
        self._cloud = cloud
        self._issued: Issued | None = None
        self._fetching: asyncio.Future[None] | None = None
        self._began_s = 0.0
        self._why = ""
        self._pause_s = _AGAIN_AFTER_S
        self._again_s = 0.0
        self._doubted_s = -_DOUBTED_EVERY_S

    async def value(self) -> object:
        """Credentials that are good now. Raises `NoCredentialsError`."""
        self.tend()
        if (issued := self._good()) is not None:
            return issued.value
        if self._fetching is not None:
            left_s = self._began_s + self._within_s - time.monotonic()
            if left_s > 0:
                await asyncio.wait({self._fetching}, timeout=left_s)
            if (issued := self._good()) is not None:
                return issued.value
        why = self._why or f"{TITLES[self._cloud]} has not given credentials within {self._within_s:g} s"
        raise NoCredentialsError(f"endpoint {self._endpoint} is not asked: {why}")

    def tend(self) -> None:
        """Begin to fetch newer credentials where it is time to."""
        issued = self._issued
        if self._fetching is not None or time.monotonic() < self._again_s:
            return
        if issued is not None and time.time() < issued.refresh_s and self._good() is not None:
            return
        loop = asyncio.get_running_loop()
        fetching = self._fetching = loop.create_future()
        self._began_s = time.monotonic()
        # Not one of the loop's own threads: it may never come back, and must not keep the process from ending.
        arguments = (loop, fetching)
        threading.Thread(target=self._fetch, args=arguments, name="credentials", daemon=True).start()

    def doubt(self) -> None:
        """The endpoint refused the credentials: look for newer ones, once in a while."""
        now = time.monotonic()
        if self._issued is not None and now - self._doubted_s >= _DOUBTED_EVERY_S:
            self._doubted_s = now
            self._issued = self._issued._replace(refresh_s=0.0)
            self.tend()

    def _good(self) -> Issued | None:
        issued = self._issued
        return None if issued is None or issued.has_ended(time.time()) else issued

    def _fetch(self, loop: asyncio.AbstractEventLoop, fetching: asyncio.Future[None]) -> None:
        """In a thread."""
        issued: Issued | None = None
        why = ""
        try:
            issued = self.source.fetch()
            if issued.has_ended(time.time()):
                issued, why = None, why_ended(self._cloud)
        except BaseException as error:  # noqa: BLE001 (of three makers; with no word of its end, no other is begun)
            why = reason_of(self._cloud, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._take, fetching, issued, why)

    def _take(self, fetching: asyncio.Future[None], issued: Issued | None, why: str) -> None:
        self._fetching = None
        if issued is None:
            if why != self._why:
                log.warning("endpoint %s: %s", self._endpoint, why)
            self._again_s = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _AGAIN_AT_MOST_S)
        else:
            if self._why:
                log.warning(
                    "endpoint %s: there are credentials of %s again", self._endpoint, TITLES[self._cloud]
                )
            self._issued = issued
            self._pause_s = _AGAIN_AFTER_S
            # A source may keep what it has until shortly before its end, whenever it is asked.
            self._again_s = time.monotonic() + _AGAIN_AFTER_S
        self._why = why
        if not fetching.done():
            fetching.set_result(None)
