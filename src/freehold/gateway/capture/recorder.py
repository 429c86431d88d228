"""The process between the workers and the store: writes traces in batches, sends changed routes to the workers.

Workers never touch the database. They send raw bytes over a Unix socket; here streams are put together,
people's data replaced, bodies compressed, rows written. When the store is locked, full or gone, traces wait
in a bounded queue, then are counted as lost; traffic is not affected. Workers hold what they sent until it is
written or counted, so a recorder that is killed loses nothing; what a worker held that was killed is drained from its
spool. When the gateway stops while the store cannot be written to, the rest stays there for the next start.

Run as ``python -m freehold.gateway.capture.recorder RUN_FOLDER`` with the configuration on stdin. It ends when stdin
is closed, which is also what happens when the gateway's main process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec

from freehold import files
from freehold.errors import StorageError
from freehold.gateway.capture.billing import Billing, MessageSource
from freehold.gateway.capture.frames import CHARGE, TABLE, TOTALS, TRACE, FrameReader, ack, frame
from freehold.gateway.capture.leftovers import DeadSpool, find_dead_spool
from freehold.gateway.capture.limit_accounts import LimitAccounts
from freehold.gateway.capture.redaction import Redactor, redactor_of
from freehold.gateway.capture.retention import Retention
from freehold.gateway.capture.rounds import POLL_EVERY_S, RecorderDuties, Rounds, run_or_end
from freehold.gateway.capture.spool import OUTCOMES, store_digest
from freehold.gateway.capture.traces import to_trace
from freehold.gateway.capture.usage_counts import UsageCounts
from freehold.gateway.child_process import freeze_heap, read_config, run_on_fast_loop
from freehold.gateway.config import CONFIG_FILE, RECORDER_SOCKET, GatewayConfig, from_json
from freehold.gateway.heartbeat import Heartbeat
from freehold.gateway.messages import CapturedExchange, TableMessage
from freehold.gateway.telemetry.meters import Meters
from freehold.gateway.telemetry.request_log import log_as_json
from freehold.store import Store
from freehold.store.damage import may_blame_the_data
from freehold.types.trace import Trace

log = logging.getLogger("freehold.gateway.recorder")

BATCH, BATCH_BYTES = 500, 2 * 1024 * 1024
_decode = msgspec.msgpack.Decoder(CapturedExchange).decode
_STORED, _STORE, _REDACTION, _UNREADABLE = range(len(OUTCOMES))


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
            elif tag == CHARGE:
                self._recorder.billing.add(self, payload)

    def acknowledge(self, tag: int, outcome: int, count: int) -> None:
        """Say that `count` more of what this worker sent are done with."""
        if not self.transport.is_closing():
            self.transport.write(ack(tag, count, outcome))

    def connection_lost(self, error: Exception | None) -> None:
        self._recorder.disconnected(self)


class Recorder:
    """Takes traces from workers on the loop, writes them from one thread of its own."""

    def __init__(self, config: GatewayConfig, run_folder: Path) -> None:
        assert config.store_url is not None
        self._config = config
        self._run_folder = run_folder
        self._store_digest = store_digest(config.store_url)
        self._queue: deque[tuple[MessageSource, bytes]] = deque()
        self._workers: set[WorkerConnection] = set()
        self._paused = False
        self._meters = Meters()
        self._usage = UsageCounts(config, self._meters)
        self.billing = Billing(config, self._meters, count=self._usage.count_charge)
        self._spools = config.spool_in(run_folder)
        self._dead: DeadSpool | None = None
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._table: bytes | None = None
        self.accounts = LimitAccounts(config, run_folder, self.billing)
        self._redactor: Redactor | None = None
        self._config_changed_ns = 0
        self._retention = Retention(config.retention_days, config.retention_bytes)
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
            learn_limits=self._learn_limits,
            drain_leftovers=self._drains_leftovers,
            apply_retention=self._retention.sweep,
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

    def _learn_limits(self, store: Store, table: bytes) -> None:
        self.accounts.learn(store, msgspec.json.decode(table, type=TableMessage))

    def _drains_leftovers(self, store: Store) -> bool:
        self._drain_leftovers(store)
        return self._dead is not None

    def tell_what_stays(self) -> None:
        """At the end: what the store did not take lies in the workers' files."""
        if self._queue:
            log.warning("%d traces stay in %s until the next start", len(self._queue), self._spools)

    def _soon(self, act: Callable[..., None], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(act, *arguments)

    def _share_usage(self, store: Store) -> None:
        """Add this gateway's use to the store's, and report to the workers what all gateways used."""
        told = self.accounts.share(store)
        if self._stopping.is_set():
            self.accounts.leave(store)
        if told is None:
            return
        totals, done = told
        self._loop.call_soon_threadsafe(self._broadcast, TOTALS, msgspec.msgpack.encode(totals))
        # After the totals: a worker gives up its reservation when it knows what all have spent.
        self._acknowledge(CHARGE, [(source, 0) for source in done])

    def _drain_leftovers(self, store: Store) -> None:
        """Take over what a worker that was killed left behind, one worker at a time."""
        if self._dead is not None and self._dead.is_drained:
            with contextlib.suppress(OSError):
                self.billing.book_rest(store, self._dead, self.accounts.take(self._dead.id))
                self._dead.remove(self._run_folder)
                self._dead = None
        while self._dead is None:
            dead = find_dead_spool(self._spools, self._store_digest)
            if dead is None:
                return
            if dead.is_drained:
                self.billing.book_rest(store, dead, self.accounts.take(dead.id))
                dead.remove(self._run_folder)
                continue
            log.info("draining %d traces of a worker that is gone", dead.traces)
            self._dead = dead
            for payload in dead.messages(CHARGE):
                self.billing.add(dead, payload)
            for payload in dead.messages(TRACE):
                self._queue.append((dead, payload))

    def _follow_config(self) -> None:
        """Take over a configuration that came while the gateway runs: how traces are redacted, how long they are kept,
        what answers cost."""
        try:
            path = self._run_folder / CONFIG_FILE
            changed_ns = path.stat().st_mtime_ns
            if changed_ns == self._config_changed_ns:
                return
            config = from_json(path.read_bytes())
        except OSError:
            return
        if config.capture != self._config.capture:
            self._redactor = None
        self._config, self._config_changed_ns = config, changed_ns
        self.billing.config = self.accounts.config = config
        self._usage.follow(config)
        self._retention.keep(config.retention_days, config.retention_bytes)

    def _write(self, store: Store) -> None:
        """Write what waits, for as long as nothing else is due."""
        self._follow_config()
        deadline = time.monotonic() + POLL_EVERY_S
        while self._queue and (self._stopping.is_set() or time.monotonic() < deadline):
            self._write_batch(store, self._batch())

    def _write_batch(self, store: Store, batch: list[bytes]) -> None:
        """Write the oldest of the queue. A trace that the store refuses must not hold up the others: the batch is
        halved until it is alone, and it is given up where the store takes one with nothing in it."""
        # One that was sent again may be here already; it counts once.
        outcomes: list[int] = []
        written: list[Trace] = []
        try:
            store.add_traces(self._traces(batch, outcomes, written))
        except Exception as error:
            if not may_blame_the_data(error):
                raise
            if half := len(batch) // 2:
                self._write_batch(store, batch[:half])
                self._write_batch(store, batch[half:])
                return
            store.try_to_add()
            # Neither the error's text nor its traceback: both may quote the trace.
            log.error("the store refuses trace %s (%s), which is lost", written[0].id, _kind(error))
            self._meters.count("freehold_recorder_failures", "refused")
            outcomes, written = [_STORE], []
        self._usage.count(written)
        # Only now are they safe; had the store refused, they would still be in the queue.
        self._dequeue(outcomes)

    def _dequeue(self, outcomes: list[int]) -> None:
        """Done with the oldest of the queue: their workers may forget them, and count what became of them."""
        self._acknowledge(TRACE, [(self._queue.popleft()[0], outcome) for outcome in outcomes])

    def _acknowledge(self, tag: int, done: list[tuple[MessageSource, int]]) -> None:
        """Each source gets its acknowledgements in the order it sent the messages, equal ones in one."""
        runs: dict[MessageSource, list[list[int]]] = {}
        for source, outcome in done:
            own = runs.setdefault(source, [])
            if own and own[-1][0] == outcome:
                own[-1][1] += 1
            else:
                own.append([outcome, 1])
        for source, counts in runs.items():
            for outcome, count in counts:
                if isinstance(source, DeadSpool):
                    source.acknowledge(tag, outcome, count)
                else:
                    self._loop.call_soon_threadsafe(source.acknowledge, tag, outcome, count)

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

    def _traces(self, batch: list[bytes], outcomes: list[int], written: list[Trace]) -> Iterator[Trace]:
        """The traces to write, put in `written` too, and to `outcomes` what becomes of each message. One that cannot be
        read, or whose redaction fails, is dropped and counted: nothing is written that was not redacted as chosen.

        One by one: hundreds of them taken apart at once cost half as much again, for they fall out of the caches.
        """
        for payload in batch:
            try:
                if self._redactor is None:
                    self._redactor = redactor_of(self._config.capture)
                trace = to_trace(_decode(payload), redactor=self._redactor)
            except Exception:
                log.exception("a trace could not be redacted and is not kept")
                outcomes.append(_REDACTION)
                continue
            outcomes.append(_UNREADABLE if trace is None else _STORED)
            if trace is not None:
                written.append(trace)
                yield trace

    def _drop_excess(self, error: StorageError) -> None:
        """While the store is only busy, wait; when it is gone for good, give up the older half."""
        if error.retryable or self._stopping.is_set() or len(self._queue) < self._config.capture_queue:
            return
        dropped = len(self._queue) // 2
        log.info("gave up %d traces", dropped)
        self._dequeue([_STORE] * dropped)


def _kind(error: BaseException) -> str:
    """The name of the error that is at the root of `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


async def record(config: GatewayConfig, run_folder: Path) -> None:
    """Serve the workers until stdin is closed."""
    loop = asyncio.get_running_loop()
    Heartbeat(run_folder)
    recorder = Recorder(config, run_folder)
    path = run_folder / RECORDER_SOCKET
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
    recorder.tell_what_stays()


def _wait_for_eof() -> None:
    while os.read(0, 4096):
        pass


def main() -> None:
    files.keep_private()
    log_as_json()
    with contextlib.suppress(OSError):
        os.nice(5)
    config = read_config()
    run_on_fast_loop(record(config, Path(sys.argv[1])))


if __name__ == "__main__":
    main()
