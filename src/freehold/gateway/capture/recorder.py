"""The process between the workers and the store: writes traces in batches, sends changed routes to the workers.

Workers never touch the database. They send raw bytes over a Unix socket; here streams are put together,
people's data replaced, bodies compressed, rows written. When the store is locked, full or gone, traces wait
in a bounded queue, then are counted as lost; traffic is not affected. Workers hold what they sent until it is
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
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec

from freehold.errors import StorageError
from freehold.gateway.capture.frames import TABLE, TOTALS, TRACE, USE, FrameReader, ack, frame
from freehold.gateway.capture.redaction import Redactor, redactor_of
from freehold.gateway.capture.rounds import RecorderDuties, Rounds, run_or_end
from freehold.gateway.capture.traces import to_trace
from freehold.gateway.child_process import freeze_heap, read_config, run_on_fast_loop
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.limiter import WINDOW_S
from freehold.gateway.messages import CapturedExchange, UsageReport, UsageTotals
from freehold.gateway.spending import Charge, usd_of
from freehold.gateway.telemetry.meters import Meters
from freehold.gateway.telemetry.request_log import log_as_json
from freehold.store import Store, leases
from freehold.store.usage import Use, add_spending, add_use, spent
from freehold.types.trace import Trace

log = logging.getLogger("freehold.gateway.recorder")

BATCH, BATCH_BYTES = 500, 2 * 1024 * 1024
ALIVE_S = 5.0
_decode_report = msgspec.msgpack.Decoder(UsageReport).decode
_decode = msgspec.msgpack.Decoder(CapturedExchange).decode


class WorkerConnection(asyncio.Protocol):
    """One worker."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._reader = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._recorder.connected(self)

    def data_received(self, data: bytes) -> None:
        for tag, payload in self._reader.feed(data):
            if tag == TRACE:
                self._recorder.enqueue(self, payload)
            elif tag == USE:
                self._recorder.add_usage(self, payload)

    def acknowledge(self, tag: int, count: int) -> None:
        """Say that `count` more of what this worker sent are done with."""
        if not self.transport.is_closing():
            self.transport.write(ack(tag, count))

    def connection_lost(self, error: Exception | None) -> None:
        self._recorder.disconnected(self)


class Recorder:
    """Takes traces from workers on the loop, writes them from one thread of its own."""

    def __init__(self, config: GatewayConfig, run_folder: Path) -> None:
        assert config.store_url is not None
        self._config = config
        self._run_folder = run_folder
        self._queue: deque[tuple[WorkerConnection, bytes]] = deque()
        self._workers: set[WorkerConnection] = set()
        self._paused = False
        self._meters = Meters()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._table: bytes | None = None
        self._window = 0
        self._use: dict[str, Use] = {}
        self._reports: Counter[WorkerConnection] = Counter()
        self._use_lock = threading.Lock()
        self._limits_used = False
        self._redactor: Redactor | None = None
        self._charges: list[Charge] = []
        self._unpriced: dict[str, str] = {}
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._loop = asyncio.get_running_loop()

    # On the loop

    def connected(self, worker: WorkerConnection) -> None:
        self._workers.add(worker)
        if self._table is not None:
            worker.transport.write(frame(TABLE, self._table))

    def disconnected(self, worker: WorkerConnection) -> None:
        self._workers.discard(worker)

    def enqueue(self, worker: WorkerConnection, payload: bytes) -> None:
        self._queue.append((worker, payload))
        if len(self._queue) >= self._config.capture_queue and not self._paused:
            # Workers notice, hold back, and in the end drop and count: memory stays bounded here too.
            self._paused = True
            for worker in self._workers:
                worker.transport.pause_reading()

    def add_usage(self, worker: WorkerConnection, payload: bytes) -> None:
        report = _decode_report(payload)
        with self._use_lock:
            self._reports[worker] += 1
            self._charges.extend(report.charges)
            if report.window != self._window:
                self._window, self._use = report.window, {}
            for name, (requests, tokens) in report.use.items():
                old = self._use.get(name, Use(0, 0))
                self._use[name] = Use(old.requests + requests, old.tokens + tokens)

    def _acknowledge(self, tag: int, done: Counter[WorkerConnection]) -> None:
        for worker, count in done.items():
            worker.acknowledge(tag, count)

    def _broadcast(self, tag: int, payload: bytes) -> None:
        for worker in self._workers:
            worker.transport.write(frame(tag, payload))

    def _resume(self) -> None:
        if self._paused and len(self._queue) < self._config.capture_queue // 2:
            self._paused = False
            for worker in self._workers:
                worker.transport.resume_reading()

    def _broadcast_table(self, table: bytes) -> None:
        self._table = table
        self._broadcast(TABLE, table)

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    def rounds(self) -> Rounds:
        """What the recorder's thread runs."""
        duties = RecorderDuties(
            share_usage=self._share_usage,
            write=self._write,
            apply_retention=self._apply_retention,
            tell=lambda table: self._soon(self._broadcast_table, table),
            drop_excess=self._drop_excess,
            resume=lambda: self._soon(self._resume) if self._paused else None,
        )
        return Rounds(
            self._config,
            self._run_folder,
            duties,
            self._meters,
            stopping=self._stopping,
            wake=self._wake,
        )

    # In the thread

    def _soon(self, act: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(act, *arguments)

    def _apply_retention(self, store: Store) -> None:
        """Delete traces beyond the configured age and size."""
        config = self._config
        if config.retention_days is not None:
            store.delete_traces(before=datetime.now(UTC) - timedelta(days=config.retention_days))
        if config.retention_bytes is not None:
            store.shrink_traces(config.retention_bytes)

    def _share_usage(self, store: Store) -> None:
        """Add this gateway's use to the store's, and report to the workers what all gateways used."""
        with self._use_lock:
            use, self._use = self._use, {}
            charges, self._charges = self._charges, []
            reports, self._reports = self._reports, Counter()
        self._limits_used = self._limits_used or bool(reports)
        if not self._limits_used:
            return
        now = datetime.now(UTC)
        day = now.strftime("%Y-%m-%d")
        window = self._window if use else int(time.time() // WINDOW_S)
        try:
            totals = add_use(store.database, window, use)
            more = self._usd(charges, now)
            spending = (
                add_spending(store.database, day, more) if more else spent(store.database, day, day[:7])
            )
        except StorageError:
            with self._use_lock:
                # UsageReport again once the store is back: money that was spent must not be forgotten.
                self._charges = [*charges, *self._charges]
                self._reports += reports
            raise
        if reports:
            self._loop.call_soon_threadsafe(self._acknowledge, USE, reports)
        owners = leases.alive(store.database, "gateway", self._owner, at=now, seconds=ALIVE_S)
        message = UsageTotals(
            use=[(name, window, *used) for (name, window), used in totals.items()],
            day=day,
            spent=[(name, *usd) for name, usd in spending.items()],
            unpriced=self._unpriced,
            gateways=len(owners),
            rank=owners.index(self._owner),
        )
        self._loop.call_soon_threadsafe(self._broadcast, TOTALS, msgspec.msgpack.encode(message))

    def _usd(self, charges: list[Charge], now: datetime) -> dict[str, Decimal]:
        """What charges come to, by name. Where a price is unknown, names with a cap let nothing more through."""
        more: dict[str, Decimal] = {}
        for charge in charges:
            cost = usd_of(charge, self._config, at=now)
            if charge.estimated:
                self._meters.count("freehold_bills", "estimated")
            if cost is None:
                self._meters.count("freehold_bills", "unpriced")
                for name in charge.names:
                    if name not in self._unpriced:
                        log.warning(
                            "the price of %s is unknown: the spend cap of %s cannot be kept",
                            charge.model,
                            name,
                        )
                        self._unpriced[name] = charge.model
                continue
            self._meters.count("freehold_bills", "priced")
            for name in charge.names:
                more[name] = more.get(name, Decimal(0)) + cost
                self._meters.count("freehold_spend_usd", name, by=float(cost))
        return more

    def _write(self, store: Store) -> None:
        while self._queue:
            batch = self._batch()
            # One that was sent again may be here already; it counts once.
            stored = store.add_traces(self._traces(batch))
            # Only now are they safe; had the store refused, they would still be in the queue.
            self._dequeue(len(batch))
            self._meters.count("freehold_traces_stored", by=stored)

    def _dequeue(self, count: int) -> None:
        """Done with the oldest `count` of the queue: their workers may forget them."""
        done = Counter(self._queue.popleft()[0] for _ in range(count))
        self._loop.call_soon_threadsafe(self._acknowledge, TRACE, done)

    def _batch(self) -> list[bytes]:
        """The next traces to write: few enough to be taken apart in memory at once."""
        batch: list[bytes] = []
        size = 0
        # By index, because the loop appends meanwhile.
        for index in range(min(BATCH, len(self._queue))):
            payload = self._queue[index][1]
            size += len(payload)
            if batch and size > BATCH_BYTES:
                break
            batch.append(payload)
        return batch

    def _traces(self, batch: list[bytes]) -> list[Trace]:
        """The traces to write. One that cannot be read, or whose redaction fails, is dropped and counted: nothing is
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

    def _drop_excess(self, error: StorageError) -> None:
        """While the store is only busy, wait; when it is gone for good, give up the older half."""
        if error.retryable and not self._stopping.is_set():
            return
        dropped = len(self._queue) // 2 if len(self._queue) >= self._config.capture_queue else 0
        if self._stopping.is_set():
            dropped = len(self._queue)
        if dropped:
            log.info("gave up %d traces", dropped)
            self._dequeue(dropped)
            self._meters.count("freehold_traces_lost", "store", by=dropped)


async def record(config: GatewayConfig, run_folder: Path) -> None:
    """Serve the workers until stdin is closed."""
    loop = asyncio.get_running_loop()
    recorder = Recorder(config, run_folder)
    path = run_folder / "recorder.sock"
    path.unlink(missing_ok=True)
    server = await loop.create_unix_server(lambda: WorkerConnection(recorder), str(path))
    thread = threading.Thread(target=run_or_end, args=(recorder.rounds(),), name="store")
    thread.start()
    freeze_heap()
    async with server:
        await asyncio.to_thread(_wait_for_eof)
        server.close()
        # What workers sent on their way out is still in the sockets.
        await asyncio.sleep(0.1)
    recorder.stop()
    await asyncio.to_thread(thread.join)


def _wait_for_eof() -> None:
    while os.read(0, 4096):
        pass


def main() -> None:
    log_as_json()
    with contextlib.suppress(OSError):
        os.nice(5)
    config = read_config()
    run_on_fast_loop(record(config, Path(sys.argv[1])))


if __name__ == "__main__":
    main()
