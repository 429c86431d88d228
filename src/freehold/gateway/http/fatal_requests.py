"""Requests on which an engine dies: after the second death one is answered with an error, and not sent again.

A request is suspected when its connection ends before an answer began and nothing listens at the endpoint any more.
Whatever was under way in that moment is suspected with it. So suspects are asked one at a time, by all workers of the
gateway together: the next death is then the doing of one, and an answer clears the others. What is known is kept for
`REMEMBERED_S` in a small file of the run folder that all workers share, as digests of the bodies: no words of clients.

Covered: engines on plain HTTP that end before the head of their answer. Not covered: an engine that ends within an
answer, and one whose server goes on while a process behind it ends; the supervisor restarts those.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import mmap
import os
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

from freehold.gateway.http.response import ConnectError, RemoteProtocolError, TransportError

log = logging.getLogger("freehold.gateway")
DEATHS_MAX = 2
REMEMBERED_S = 3600.0
"""Then the engine is asked again: it may be another one by now."""
KNOWN_MAX = 256
"""As many requests are remembered; a new one takes the place of the oldest."""
ALONE_S = 30.0
"""How long a suspect waits for the others. Then it is asked all the same."""
_FILE = "fatal-requests"
_GENERATION = struct.Struct("<Q")
_SLOT = struct.Struct("<16sQQd")  # digest, bytes of the body, deaths, monotonic seconds of the last
_SLOTS_AT = 64
_SIZE = _SLOTS_AT + KNOWN_MAX * _SLOT.size
_ALONE_PAUSE_S = 0.02
_DYING_S = 0.3
_INLINE_BYTES_MAX = 64 * 1024


class _Death(NamedTuple):
    body_bytes: int
    deaths: int
    at_s: float


class FatalRequests:
    """What the workers of a gateway know of such requests. Without a `folder` it is what this process knows."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: int | None = None
        try:
            self._map = mmap.mmap(-1, _SIZE) if folder is None else self._shared(folder / _FILE)
        except OSError as error:  # traffic must go on
            log.warning("requests that end engines are not shared among workers: %s", error)
            self._folder = None
            self._map = mmap.mmap(-1, _SIZE)
        self._generation = 0
        self._known: dict[bytes, _Death] = {}
        self._sizes: frozenset[int] = frozenset()
        self._turns: dict[str, asyncio.Lock] = {}

    def _shared(self, path: Path) -> mmap.mmap:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Written, not only made longer: a full disk must be an error here, not a signal at the first use.
            missing = _SIZE - os.fstat(file).st_size
            if missing > 0:
                os.pwrite(file, bytes(missing), _SIZE - missing)
            shared = mmap.mmap(file, _SIZE)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return shared

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def may_know(self, body: bytes) -> bool:
        """Whether a body has the length of one that is remembered, which is as good as never. Only then is a digest
        made of it."""
        self._refresh()
        return len(body) in self._sizes

    async def deaths(self, endpoint: str, body: bytes) -> int:
        """On how many deaths of an endpoint a request was under way."""
        if not self.may_know(body):
            return 0
        known = self._known.get(await _digest(endpoint, body))
        return 0 if known is None or _is_old(known) else known.deaths

    async def add(self, endpoint: str, body: bytes, *, sent_s: float) -> int:
        """An endpoint died on a request that was sent at `sent_s` (monotonic); returns how often by now."""
        digest = await _digest(endpoint, body)
        with self._locked():
            self._refresh()
            before = self._known.get(digest)
            deaths = 0 if before is None or _is_old(before) else before.deaths
            if before is not None and deaths and sent_s <= before.at_s:
                return deaths  # a copy of it that was under way at the same death
            self._put(digest, _Death(len(body), deaths + 1, time.monotonic()))
        if deaths + 1 == DEATHS_MAX:
            log.warning(
                "endpoint %s died %d times on one request (%d bytes, digest %s); it is not sent again for %.0f min",
                endpoint,
                DEATHS_MAX,
                len(body),
                digest.hex(),
                REMEMBERED_S / 60,
            )
        return deaths + 1

    async def clear(self, endpoint: str, body: bytes) -> None:
        """An endpoint has begun to answer a request after all: another one was to blame."""
        digest = await _digest(endpoint, body)
        with self._locked():
            self._refresh()
            if digest in self._known:
                self._put(digest, None)

    @contextlib.asynccontextmanager
    async def alone(self, endpoint: str) -> AsyncIterator[None]:
        """Be the only suspect an endpoint is asked while the block runs, or after `ALONE_S` one of several."""
        turn = self._turns.setdefault(endpoint, asyncio.Lock())
        deadline_s = time.monotonic() + ALONE_S
        mine = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALONE_S):
                await turn.acquire()
                mine = True
        file = self._turn_of_workers(endpoint)
        try:
            while file is not None and time.monotonic() < deadline_s:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                await asyncio.sleep(_ALONE_PAUSE_S)
            yield
        finally:
            if file is not None:
                os.close(file)
            if mine:
                turn.release()

    def _turn_of_workers(self, endpoint: str) -> int | None:
        if self._folder is None:
            return None
        name = hashlib.blake2b(endpoint.encode(), digest_size=8).hexdigest()
        try:
            return os.open(self._folder / f"{_FILE}-{name}", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the file's lock. What is done under it takes microseconds, so the loop may wait for it."""
        if self._file is None:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _refresh(self) -> None:
        """Take over what other workers have written."""
        generation = _GENERATION.unpack_from(self._map, 0)[0]
        if generation == self._generation:
            return
        self._generation = generation
        rows = _SLOT.iter_unpack(self._map[_SLOTS_AT:])
        self._known = {digest: _Death(*rest) for digest, *rest in rows if rest[1]}
        self._sizes = frozenset(death.body_bytes for death in self._known.values())

    def _put(self, digest: bytes, death: _Death | None) -> None:
        """Write a slot: the request's own, else an empty one, else the oldest."""
        slots = [*_SLOT.iter_unpack(self._map[_SLOTS_AT:])]
        number = next((n for n, slot in enumerate(slots) if slot[0] == digest and slot[2]), None)
        if number is None:
            number = min(range(KNOWN_MAX), key=lambda n: slots[n][3] if slots[n][2] else float("-inf"))
        row = (digest, *death) if death is not None else (bytes(16), 0, 0, 0.0)
        _SLOT.pack_into(self._map, _SLOTS_AT + number * _SLOT.size, *row)
        _GENERATION.pack_into(self._map, 0, _GENERATION.unpack_from(self._map, 0)[0] + 1)
        self._refresh()


async def has_died(host: str, port: int, error: TransportError) -> bool:
    """Whether the end of an exchange was the end of the endpoint: nothing listens there any more."""
    if isinstance(error, ConnectError):
        return error.after_break
    if not isinstance(error, RemoteProtocolError):
        return False
    try:
        async with asyncio.timeout(_DYING_S):
            while True:
                # The sockets of a process that dies are closed one by one: one that still takes a connection ends it.
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    with contextlib.suppress(ConnectionResetError):
                        await reader.read(1)
                finally:
                    writer.close()
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False


async def _digest(endpoint: str, body: bytes) -> bytes:
    if len(body) > _INLINE_BYTES_MAX:
        return await asyncio.to_thread(_digest_now, endpoint, body)
    return _digest_now(endpoint, body)


def _digest_now(endpoint: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16, key=endpoint.encode()[:64]).digest()


def _is_old(death: _Death) -> bool:
    return time.monotonic() - death.at_s > REMEMBERED_S
