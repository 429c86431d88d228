"""The process between workers and store: writes traces in batches, tells the workers of changed routes and keys.

Workers never touch the database. They keep raw bytes in their spools (`spool`), which are read here; streams are put
together, people's data replaced, bodies compressed, rows written. When the store is locked, full or gone, traces wait
in the spools, and in the end workers count those there is no room for; traffic is not affected. A recorder that is
killed loses nothing: the next one reads what was not done with, and so does the next gateway where the store could not
be written to until the end.

One thread goes round: open the store, follow keys and routes, write, delete what is old, say that it lives. What goes
wrong in a round is logged and counted, and the next one begins. Only when none succeeds any more does the process end,
to be started again.

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
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import KeysUnavailableError, StorageError
from freehold.gateway.capture.limit_accounts import Billing, LimitAccounts
from freehold.gateway.capture.redaction import Redactor, redactor_of
from freehold.gateway.capture.retention import Retention
from freehold.gateway.capture.ring import Ring
from freehold.gateway.capture.spool import CHARGE, OUTCOMES, TRACE, SpoolReader, digest_of, open_spools
from freehold.gateway.capture.traces import to_trace
from freehold.gateway.capture.usage_counts import UsageCounts
from freehold.gateway.child_process import (
    Heartbeat,
    freeze_heap,
    read_config,
    recorders_pulse,
    run_on_fast_loop,
)
from freehold.gateway.config import CONFIG_FILE, RECORDER_SOCKET, GatewayConfig, from_json
from freehold.gateway.messages import TABLE, TOTALS, CapturedExchange, TableMessage, message_of
from freehold.gateway.telemetry.meters import Meters
from freehold.gateway.telemetry.request_log import log_as_json
from freehold.store import Store, audit
from freehold.store.damage import may_blame_the_data
from freehold.store.database import ChangeWatch
from freehold.types.audit import change_source
from freehold.types.trace import Trace

log = logging.getLogger("freehold.gateway.recorder")

BATCH, BATCH_BYTES = 500, 2 * 1024 * 1024
_WRITE_EVERY_S = 0.15
_POLL_EVERY_S = 0.14
_NUMBERS_EVERY_S = 0.5
_LEFTOVERS_EVERY_S = 1.0
_RETENTION_EVERY_S = 60.0
_GIVE_UP_AFTER_S = 10.0
_decode = msgspec.msgpack.Decoder(CapturedExchange).decode
_STORED, _STORE, _REDACTION, _UNREADABLE = range(len(OUTCOMES))
Batch = list[tuple[SpoolReader, bytes]]


class Recorder:
    """Tells workers on the loop, does all else in one thread of its own (`run`)."""

    def __init__(self, config: GatewayConfig, run_folder: Path) -> None:
        assert config.store_url is not None
        self._config = config
        self._run_folder = run_folder
        self._digests = digest_of(config.store_url), digest_of(str(run_folder))
        self._spool_folder = config.spool_in(run_folder)
        self._spools: dict[str, SpoolReader] = {}
        self._reserved: dict[str, dict[str, int]] = {}
        """By a worker that is gone, what it had reserved, in nanodollars by name."""
        self._workers: set[asyncio.StreamWriter] = set()
        self._table: bytes | None = None
        self._untold: bytes | None = None
        self._meters = Meters()
        self._usage = UsageCounts(config, self._meters)
        self.billing = Billing(config, self._meters, count=self._usage.count_charge)
        self.accounts = LimitAccounts(config, run_folder, self.billing)
        self._redactor: Redactor | None = None
        self._config_changed_ns = 0
        self._retention = Retention(config.retention_days, config.retention_bytes)
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._ring = Ring(config, run_folder)
        self._store: Store | None = None
        self._watch: ChangeWatch | None = None
        self._next_poll_s = self._next_sweep_s = self._next_numbers_s = self._next_look_s = 0.0
        self._failing_since_s: float | None = None
        self._complained = ""

    # On the loop

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One worker, which says nothing."""
        self._workers.add(writer)
        if self._table is not None:
            writer.write(message_of(TABLE, self._table))
        with contextlib.suppress(OSError):
            await reader.read()
        self._workers.discard(writer)
        writer.close()

    def _broadcast(self, tag: int, payload: bytes) -> None:
        if tag == TABLE:
            self._table = payload
        for worker in self._workers:
            worker.write(message_of(tag, payload))

    def stop(self) -> None:
        self._stopping.set()

    # In the thread

    def run(self) -> None:
        """Until told to stop; then what is left is written in a last round. A recorder without its thread would look
        alive and keep nothing: it ends with it."""
        try:
            change_source.set(audit.this_machine("gateway"))
            pulse = recorders_pulse(self._run_folder)
            while True:
                stopping = self._stopping.is_set()
                self._try_round()
                if self._failing_since_s is None:
                    pulse.beat()
                if stopping or time.monotonic() >= self._next_numbers_s:
                    self._next_numbers_s = time.monotonic() + _NUMBERS_EVERY_S
                    self._write_numbers()
                if stopping:
                    break
                self._stopping.wait(_WRITE_EVERY_S)
            self._close_store()
            if left := sum(1 for spool in self._spools.values() for _ in spool.messages(TRACE)):
                log.warning("%d traces stay in %s until the next start", left, self._spool_folder)
        except BaseException:
            log.exception("the recorder ends, and is started again")
            os._exit(1)

    def _try_round(self) -> None:
        try:
            self._round()
        except StorageError as error:
            self._failing_since_s = None  # the store does not do its work; the recorder does
            if error.message != self._complained:
                log.warning("%s", error.message)
                self._complained = error.message
            if isinstance(error, KeysUnavailableError) and (refusal := self._ring.refusal(error)) is not None:
                self._tell(TABLE, refusal)
            # Open the store again in a moment, unless it was only busy.
            if not error.retryable:
                self._close_store()
            elif self._watch is not None:
                self._watch.forget()
            self._stopping.wait(0.5)
        except Exception as error:  # noqa: BLE001 (logged with its traceback)
            self._survive(error)
        else:
            self._failing_since_s, self._complained = None, ""

    def _round(self) -> None:
        now, stopping = time.monotonic(), self._stopping.is_set()
        others = stopping or now >= self._next_look_s
        if others:
            self._next_look_s = now + _LEFTOVERS_EVERY_S
        self._look(others=others)
        if self._store is not None and self._store.database.was_replaced():
            self._close_store()
        if self._store is None or self._watch is None:
            self._store = self._ring.opened()
            log.info("writing to the store")
            self._watch = self._store.database.watch()
        store = self._store
        if now >= self._next_poll_s:
            self._next_poll_s = now + _POLL_EVERY_S
            self._follow_ring(store, self._watch)
            self._share_usage(store)
        self._write(store)
        if others:
            self._finish_abandoned(store)
        if stopping:
            # Bills of the last answers, and the files of workers whose last messages were just written.
            self._share_usage(store)
            self._finish_abandoned(store)
            self.accounts.leave(store)
        if now >= self._next_sweep_s:
            self._next_sweep_s = now + _RETENTION_EVERY_S
            self._sweep(store)

    def _follow_ring(self, store: Store, watch: ChangeWatch) -> None:
        """Where keys, labels or routes have changed: who may use how much, and then the workers."""
        if watch.has_news() or self._ring.requirement_changed():
            self._untold = self._ring.read(store) or self._untold
            if self._untold is not None:
                self.accounts.learn(store, msgspec.json.decode(self._untold, type=TableMessage))
                self._tell(TABLE, self._untold)
                self._untold = None

    def _share_usage(self, store: Store) -> None:
        """Add this gateway's use to the store's, and report to the workers what all gateways used."""
        shared = self.accounts.share(store)
        if shared is not None:
            totals, booked = shared
            self._tell(TOTALS, msgspec.msgpack.encode(totals))
            # After the totals: a worker gives up its reservation when it knows what all have spent.
            for spool, bills in Counter(booked).items():
                spool.acknowledge(CHARGE, [_STORED] * bills)

    def _tell(self, tag: int, payload: bytes) -> None:
        self._loop.call_soon_threadsafe(self._broadcast, tag, payload)

    def _sweep(self, store: Store) -> None:
        try:
            self._retention.sweep(store)
        except StorageError:
            raise
        except Exception:
            # Traces that stay too long must not keep others from being written, nor keys from being followed.
            log.exception("old traces could not be deleted")
            self._meters.count("freehold_recorder_failures", "retention")

    def _survive(self, error: Exception) -> None:
        """Called for an exception that nothing here expects."""
        log.error("the recorder failed, and goes on", exc_info=error)
        self._meters.count("freehold_recorder_failures", "unexpected")
        if self._watch is not None:
            self._watch.forget()
        now = time.monotonic()
        if self._failing_since_s is None:
            self._failing_since_s = now
        if now - self._failing_since_s > _GIVE_UP_AFTER_S and not self._stopping.is_set():
            log.error("no round succeeded for %g s", _GIVE_UP_AFTER_S)
            self._write_numbers()
            os._exit(1)
        self._stopping.wait(0.5)

    def _write_numbers(self) -> None:
        with contextlib.suppress(OSError):
            self._meters.write(self._run_folder)

    def _close_store(self) -> None:
        for one in (self._watch, self._store):
            if one is not None:
                with contextlib.suppress(StorageError):
                    one.close()
        self._watch = self._store = None

    # Spools

    def _look(self, *, others: bool) -> None:
        """Find what workers have written since; with `others` also what those of other gateways left that are gone."""
        found = open_spools(self._spool_folder, *self._digests, self._spools, abandoned=others)
        self._spools.update({spool.id: spool for spool in found})
        for spool in self._spools.values():
            for bill in spool.look():
                self.billing.add(spool, bill)

    def _finish_abandoned(self, store: Store) -> None:
        """Bring to its end what workers that are gone left behind, once all of it is done with."""
        for spool in [*self._spools.values()]:
            if spool.is_abandoned:
                for bill in spool.look():  # what it wrote before it ended
                    self.billing.add(spool, bill)
                if not spool.is_drained:
                    continue
                if spool.id not in self._reserved:
                    self._reserved[spool.id] = self.accounts.take(spool.id)
                self.billing.book_rest(store, spool.id, self._reserved[spool.id], spool.held_nano())
                spool.remove(self._run_folder)
                del self._spools[spool.id], self._reserved[spool.id]
            elif spool.is_removed:
                spool.close()
                del self._spools[spool.id]

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
        deadline = time.monotonic() + _POLL_EVERY_S
        while batch := self._batch():
            self._write_batch(store, batch)
            # Another worker's turn.
            first = next(iter(self._spools))
            self._spools[first] = self._spools.pop(first)
            if time.monotonic() > deadline and not self._stopping.is_set():
                return

    def _batch(self) -> Batch:
        """The next traces to write: few enough to be taken apart in memory at once."""
        batch: Batch = []
        size = 0
        for spool in self._spools.values():
            for payload in spool.messages(TRACE):
                size += len(payload)
                if len(batch) >= BATCH or (batch and size > BATCH_BYTES):
                    return batch
                batch.append((spool, payload))
        return batch

    def _write_batch(self, store: Store, batch: Batch) -> None:
        """Write the oldest traces. One that the store refuses must not hold up the others: the batch is halved until
        it is alone, and it is given up where the store takes one with nothing in it."""
        # One that was read before may be here already; it counts once.
        outcomes: list[int] = []
        written: list[Trace] = []
        try:
            store.add_traces(self._traces([payload for _, payload in batch], outcomes, written))
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
        if store.database.was_replaced():
            raise StorageError(f"the store at {store.database.where} was moved, removed or replaced")
        self._usage.count(written)
        # Only now are they safe; had the store refused, or its file gone, they would be read again.
        for spool, rows in groupby(zip(batch, outcomes, strict=True), key=lambda row: row[0][0]):
            spool.acknowledge(TRACE, [outcome for _, outcome in rows])

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


def _kind(error: BaseException) -> str:
    """The name of the error that is at the root of `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__


async def record(config: GatewayConfig, run_folder: Path) -> None:
    """Serve the workers until stdin is closed."""
    Heartbeat(run_folder)
    recorder = Recorder(config, run_folder)
    path = run_folder / RECORDER_SOCKET
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(recorder.serve, str(path))
    thread = threading.Thread(target=recorder.run, name="store")
    thread.start()
    freeze_heap()
    await asyncio.to_thread(_wait_for_eof)
    server.close()
    recorder.stop()
    await asyncio.to_thread(thread.join)


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
