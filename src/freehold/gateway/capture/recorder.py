"""The process between the workers and the store: writes traces in batches, tells workers of changed routes.

Workers never touch the database. They send raw bytes over a Unix socket; here streams are put together,
people's data replaced, bodies compressed, rows written. When the store is locked, full or gone, traces wait
in a bounded queue, then are counted as lost; traffic does not notice. Workers hold what they sent until it is
written or counted, so a recorder that is killed loses nothing.

Run as ``python -m freehold.gateway.capture.recorder RUN_FOLDER`` with the configuration on stdin. It ends when stdin
is closed, which is also what happens when the gateway's main process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import msgspec

from freehold.errors import StorageError
from freehold.gateway.capture.redaction import Redactor, redactor_of
from freehold.gateway.capture.spool import TABLE, TOTALS, TRACE, USE, FrameReader, frame, settled
from freehold.gateway.capture.traces import to_trace
from freehold.gateway.child_process import first_words, run_on_fast_loop, settle
from freehold.gateway.config import GatewayConfig, from_json
from freehold.gateway.limits.limiter import WINDOW_S
from freehold.gateway.messages import Captured, TableMessage, Told, Totals
from freehold.gateway.spending import Bill, dollars
from freehold.gateway.telemetry.meters import Meters
from freehold.gateway.telemetry.request_log import log_as_json
from freehold.store import Store, leases, open_store
from freehold.store.database import ChangeWatch
from freehold.store.usage import Use, add_spending, add_use, spent
from freehold.types.route import ApiKey
from freehold.types.trace import Trace

log = logging.getLogger("freehold.recorder")

BATCH, BATCH_BYTES = 500, 2 * 1024 * 1024
WRITE_EVERY_S = 0.15
POLL_EVERY_S = 0.14
NUMBERS_EVERY_S = 0.5
RETENTION_EVERY_S = 60.0
ALIVE_S = 5.0
_decode_told = msgspec.msgpack.Decoder(Told).decode
_decode = msgspec.msgpack.Decoder(Captured).decode


class Connection(asyncio.Protocol):
    """One worker."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._reader = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._recorder.joined(self)

    def data_received(self, data: bytes) -> None:
        for tag, payload in self._reader.feed(data):
            if tag == TRACE:
                self._recorder.take(self, payload)
            elif tag == USE:
                self._recorder.use(self, payload)

    def settle(self, tag: int, count: int) -> None:
        """Say that `count` more of what this worker sent are done with."""
        if not self.transport.is_closing():
            self.transport.write(settled(tag, count))

    def connection_lost(self, error: Exception | None) -> None:
        self._recorder.left(self)


class Recorder:
    """Takes traces from workers on the loop, writes them from one thread of its own."""

    def __init__(self, config: GatewayConfig, run_folder: Path) -> None:
        assert config.store_url is not None
        self._config = config
        self._run_folder = run_folder
        self._store_url = config.store_url
        self._queue: deque[tuple[Connection, bytes]] = deque()
        self._connections: set[Connection] = set()
        self._paused = False
        self._meters = Meters()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._table: bytes | None = None
        self._window = 0
        self._use: dict[str, Use] = {}
        self._told: Counter[Connection] = Counter()
        self._use_lock = threading.Lock()
        self._limits_in_use = False
        self._redactor: Redactor | None = None
        self._bills: list[Bill] = []
        self._unpriced: dict[str, str] = {}
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._loop = asyncio.get_running_loop()

    # On the loop

    def joined(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._table is not None:
            connection.transport.write(frame(TABLE, self._table))

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def take(self, connection: Connection, payload: bytes) -> None:
        self._queue.append((connection, payload))
        if len(self._queue) >= self._config.capture_queue and not self._paused:
            # Workers notice, hold back, and in the end drop and count: memory stays bounded here too.
            self._paused = True
            for connection in self._connections:
                connection.transport.pause_reading()

    def use(self, connection: Connection, payload: bytes) -> None:
        told = _decode_told(payload)
        with self._use_lock:
            self._told[connection] += 1
            self._bills.extend(told.bills)
            if told.window != self._window:
                self._window, self._use = told.window, {}
            for name, (requests, tokens) in told.use.items():
                old = self._use.get(name, Use(0, 0))
                self._use[name] = Use(old.requests + requests, old.tokens + tokens)

    def _settle(self, tag: int, done: Counter[Connection]) -> None:
        for connection, count in done.items():
            connection.settle(tag, count)

    def _send(self, tag: int, payload: bytes) -> None:
        for connection in self._connections:
            connection.transport.write(frame(tag, payload))

    def _resume(self) -> None:
        if self._paused and len(self._queue) < self._config.capture_queue // 2:
            self._paused = False
            for connection in self._connections:
                connection.transport.resume_reading()

    def _announce(self, table: bytes) -> None:
        self._table = table
        self._send(TABLE, table)

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    # In the thread

    def work(self) -> None:
        """Write and poll until told to stop; then write what is left."""
        store: Store | None = None
        watch: ChangeWatch | None = None
        revision: tuple[int, int] | None = None
        next_poll = next_sweep = next_numbers = 0.0
        while True:
            stopping = self._stopping.is_set()
            try:
                if store is None or watch is None:
                    store = open_store(self._store_url)
                    watch = store.database.watch()
                now = time.monotonic()
                if now >= next_poll:
                    next_poll = now + POLL_EVERY_S
                    if watch.has_news():
                        revision = self._poll(store, revision)
                    self._share_use(store)
                self._write(store)
                if now >= next_sweep:
                    next_sweep = now + RETENTION_EVERY_S
                    self._forget(store)
            except StorageError as error:
                log.warning("%s", error.message)
                if watch is not None:
                    watch.forget()
                self._lose_what_does_not_fit(error)
                self._stopping.wait(0.5)
            if self._paused:
                self._loop.call_soon_threadsafe(self._resume)
            if stopping or time.monotonic() >= next_numbers:
                next_numbers = time.monotonic() + NUMBERS_EVERY_S
                with contextlib.suppress(OSError):
                    self._meters.write(self._run_folder)
            if stopping:
                break
            self._wake.wait(WRITE_EVERY_S)
        if watch is not None:
            watch.close()
        if store is not None:
            store.close()

    def _forget(self, store: Store) -> None:
        """Keep traces for as long, and as many, as was said."""
        config = self._config
        if config.retention_days is not None:
            store.delete_traces(before=datetime.now(UTC) - timedelta(days=config.retention_days))
        if config.retention_bytes is not None:
            store.shrink_traces(config.retention_bytes)

    def _poll(self, store: Store, known: tuple[int, int] | None) -> tuple[int, int]:
        keys = store.records(ApiKey)
        now = (store.routes_revision(), hash(msgspec.json.encode(keys)))
        if now != known:
            message = TableMessage(routes=tuple(store.routes()), keys=tuple(keys), revision=now[0])
            self._loop.call_soon_threadsafe(self._announce, msgspec.json.encode(message))
        return now

    def _share_use(self, store: Store) -> None:
        """Add this gateway's use to the store's, and tell the workers what all gateways used."""
        with self._use_lock:
            use, self._use = self._use, {}
            bills, self._bills = self._bills, []
            told, self._told = self._told, Counter()
        self._limits_in_use = self._limits_in_use or bool(told)
        if not self._limits_in_use:
            return
        now = datetime.now(UTC)
        day = now.strftime("%Y-%m-%d")
        window = self._window if use else int(time.time() // WINDOW_S)
        try:
            totals = add_use(store.database, window, use)
            more = self._dollars(bills, now)
            spending = (
                add_spending(store.database, day, more) if more else spent(store.database, day, day[:7])
            )
        except StorageError:
            with self._use_lock:
                # Told again once the store is back: money that was spent must not be forgotten.
                self._bills = [*bills, *self._bills]
                self._told += told
            raise
        if told:
            self._loop.call_soon_threadsafe(self._settle, USE, told)
        owners = leases.alive(store.database, "gateway", self._owner, at=now, seconds=ALIVE_S)
        message = Totals(
            use=[(name, window, *used) for (name, window), used in totals.items()],
            day=day,
            spent=[(name, *dollars) for name, dollars in spending.items()],
            unpriced=self._unpriced,
            gateways=len(owners),
            rank=owners.index(self._owner),
        )
        self._loop.call_soon_threadsafe(self._send, TOTALS, msgspec.msgpack.encode(message))

    def _dollars(self, bills: list[Bill], now: datetime) -> dict[str, Decimal]:
        """What bills come to, by name. Where a price is unknown, names with a cap let nothing more through."""
        more: dict[str, Decimal] = {}
        for one in bills:
            cost = dollars(one, self._config, at=now)
            if one.estimated:
                self._meters.count("freehold_bills", "estimated")
            if cost is None:
                self._meters.count("freehold_bills", "unpriced")
                for name in one.names:
                    if name not in self._unpriced:
                        log.warning(
                            "no price of %s is known: the spend cap of %s cannot hold", one.model, name
                        )
                        self._unpriced[name] = one.model
                continue
            self._meters.count("freehold_bills", "priced")
            for name in one.names:
                more[name] = more.get(name, Decimal(0)) + cost
                self._meters.count("freehold_spend_usd", name, by=float(cost))
        return more

    def _write(self, store: Store) -> None:
        while self._queue:
            batch = self._batch()
            # One that was sent again may be here already; it counts once.
            stored = store.add_traces(self._traces(batch))
            # Only now are they safe; had the store refused, they would still be in the queue.
            self._take_off(len(batch))
            self._meters.count("freehold_traces_stored", by=stored)

    def _take_off(self, count: int) -> None:
        """Done with the oldest `count` of the queue: their workers may forget them."""
        done = Counter(self._queue.popleft()[0] for _ in range(count))
        self._loop.call_soon_threadsafe(self._settle, TRACE, done)

    def _batch(self) -> list[bytes]:
        """The next traces to write: few enough to be taken apart in memory at once."""
        batch: list[bytes] = []
        size = 0
        # By place, because the loop appends meanwhile.
        for place in range(min(BATCH, len(self._queue))):
            payload = self._queue[place][1]
            size += len(payload)
            if batch and size > BATCH_BYTES:
                break
            batch.append(payload)
        return batch

    def _traces(self, batch: list[bytes]) -> list[Trace]:
        """The traces to write. One that cannot be read, or whose redaction fails, is lost and counted: nothing is
        ever written that was not redacted as chosen."""
        traces = []
        for payload in batch:
            try:
                redactor = self._redactor or self._load_redactor()
                trace = to_trace(_decode(payload), redactor=redactor)
            except Exception:
                log.exception("a trace could not be redacted and is not kept")
                self._meters.count("freehold_traces_lost", "redaction")
                continue
            if trace is None:
                self._meters.count("freehold_traces_lost", "unreadable")
            else:
                traces.append(trace)
        return traces

    def _load_redactor(self) -> Redactor | None:
        self._redactor = redactor_of(self._config.capture)
        return self._redactor

    def _lose_what_does_not_fit(self, error: StorageError) -> None:
        """While the store is only busy, wait; when it is gone for good, give up the older half."""
        if error.retryable and not self._stopping.is_set():
            return
        lost = len(self._queue) // 2 if len(self._queue) >= self._config.capture_queue else 0
        if self._stopping.is_set():
            lost = len(self._queue)
        if lost:
            self._take_off(lost)
            self._meters.count("freehold_traces_lost", "store", by=lost)


async def record(config: GatewayConfig, run_folder: Path) -> None:
    """Serve the workers until stdin is closed."""
    loop = asyncio.get_running_loop()
    recorder = Recorder(config, run_folder)
    path = run_folder / "recorder.sock"
    path.unlink(missing_ok=True)
    server = await loop.create_unix_server(lambda: Connection(recorder), str(path))
    thread = threading.Thread(target=recorder.work, name="store")
    thread.start()
    settle()
    async with server:
        await asyncio.to_thread(_wait_for_the_end)
        server.close()
        # What workers sent on their way out is still in the sockets.
        await asyncio.sleep(0.1)
    recorder.stop()
    await asyncio.to_thread(thread.join)


def _wait_for_the_end() -> None:
    while os.read(0, 4096):
        pass


def main() -> None:
    log_as_json()
    with contextlib.suppress(OSError):
        os.nice(5)
    config = from_json(first_words())
    run_on_fast_loop(record(config, Path(sys.argv[1])))


if __name__ == "__main__":
    main()
