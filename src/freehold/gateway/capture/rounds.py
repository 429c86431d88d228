"""The rounds of the recorder's thread: open the store, follow keys and routes, write, delete what is old, say it lives.

What goes wrong in a round is logged and counted, and the next one begins. Only when none succeeds any more does the
process end, to be started again: workers hold what was not acknowledged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from freehold.errors import KeysUnavailableError, StorageError
from freehold.gateway.capture.ring import Ring
from freehold.gateway.config import GatewayConfig
from freehold.gateway.telemetry.meters import Meters
from freehold.gateway.telemetry.pulse import Pulse
from freehold.store import Store, audit
from freehold.store.database import ChangeWatch
from freehold.types.audit import change_source

log = logging.getLogger("freehold.gateway.recorder")

WRITE_EVERY_S = 0.15
POLL_EVERY_S = 0.14
NUMBERS_EVERY_S = 0.5
LEFTOVERS_EVERY_S = 1.0
RETENTION_EVERY_S = 60.0
GIVE_UP_AFTER_S = 10.0


class RecorderDuties(NamedTuple):
    """What a recorder does in its rounds. Those with a store may raise `StorageError`."""

    share_usage: Callable[[Store], None]
    write: Callable[[Store], None]
    learn_limits: Callable[[Store, bytes], None]
    """Keys, labels and routes have changed, and with them who may use how much: before the workers are told."""
    drain_leftovers: Callable[[Store], bool]
    """Take over what workers that are gone have left; says whether there may be more."""
    apply_retention: Callable[[Store], None]
    tell: Callable[[bytes], None]
    """Routes and keys have changed."""
    drop_excess: Callable[[StorageError], None]
    """The store does not take anything now."""
    resume: Callable[[], None]


class Rounds:
    """Runs in one thread until `stopping` is set; `wake` begins a round early."""

    def __init__(
        self,
        config: GatewayConfig,
        run_folder: Path,
        duties: RecorderDuties,
        meters: Meters,
        *,
        stopping: threading.Event,
        wake: threading.Event,
    ) -> None:
        self._duties = duties
        self._meters = meters
        self._run_folder = run_folder
        self._stopping = stopping
        self._wake = wake
        self._ring = Ring(config, run_folder)
        self._pulse = Pulse(run_folder)
        self._store: Store | None = None
        self._watch: ChangeWatch | None = None
        self._next_poll_s = self._next_sweep_s = self._next_numbers_s = self._next_look_s = 0.0
        self._untold: bytes | None = None
        self._failing_since_s: float | None = None
        self._complained = ""

    def run(self) -> None:
        """Until told to stop; then what is left is written in a last round."""
        change_source.set(audit.this_machine("gateway"))
        while True:
            stopping = self._stopping.is_set()
            self._try_round()
            if self._failing_since_s is None:
                self._pulse.beat()
            self._duties.resume()
            if stopping or time.monotonic() >= self._next_numbers_s:
                self._next_numbers_s = time.monotonic() + NUMBERS_EVERY_S
                with contextlib.suppress(OSError):
                    self._meters.write(self._run_folder)
            if stopping:
                break
            self._wake.wait(WRITE_EVERY_S)
        self._close_store()

    def _try_round(self) -> None:
        try:
            self._round()
        except StorageError as error:
            self._failing_since_s = None  # the store does not do its work; the recorder does
            if error.message != self._complained:
                log.warning("%s", error.message)
                self._complained = error.message
            if isinstance(error, KeysUnavailableError):
                self._tell(self._ring.refusal(error))
            self._give_up_for_now(error)
        except Exception as error:  # noqa: BLE001 (logged with its traceback)
            self._survive(error)
        else:
            self._failing_since_s, self._complained = None, ""

    def _round(self) -> None:
        if self._store is not None and self._store.database.was_replaced():
            log.warning("the store at %s was moved, removed or replaced", self._store.database.where)
            self._close_store()
        if self._store is None or self._watch is None:
            self._store = self._ring.opened()
            log.info("writing to the store")
            self._watch = self._store.database.watch()
        store, now = self._store, time.monotonic()
        if now >= self._next_poll_s:
            self._next_poll_s = now + POLL_EVERY_S
            if self._watch.has_news() or self._ring.requirement_changed():
                self._untold = self._ring.read(store) or self._untold
                if self._untold is not None:
                    self._duties.learn_limits(store, self._untold)
                    self._tell(self._untold)
                    self._untold = None
            self._duties.share_usage(store)
        stopping = self._stopping.is_set()
        if stopping or now >= self._next_look_s:
            # Worker after worker without a pause, while there are any.
            more = self._duties.drain_leftovers(store)
            self._next_look_s = now if more else now + LEFTOVERS_EVERY_S
        self._duties.write(store)
        if stopping:
            # Bills of the last answers, and the files of workers whose last messages were just written.
            self._duties.share_usage(store)
            self._duties.drain_leftovers(store)
        if now >= self._next_sweep_s:
            self._next_sweep_s = now + RETENTION_EVERY_S
            self._sweep(store)

    def _sweep(self, store: Store) -> None:
        try:
            self._duties.apply_retention(store)
        except StorageError:
            raise
        except Exception:
            # Traces that stay too long must not keep others from being written, nor keys from being followed.
            log.exception("old traces could not be deleted")
            self._meters.count("freehold_recorder_failures", "retention")

    def _tell(self, table: bytes | None) -> None:
        if table is not None:
            self._duties.tell(table)

    def _give_up_for_now(self, error: StorageError) -> None:
        """Open the store again in a moment, unless it was only busy."""
        if not error.retryable:
            self._close_store()
        elif self._watch is not None:
            self._watch.forget()
        self._duties.drop_excess(error)
        self._stopping.wait(0.5)

    def _survive(self, error: Exception) -> None:
        """Called for an exception that nothing here expects."""
        log.error("the recorder failed, and goes on", exc_info=error)
        self._meters.count("freehold_recorder_failures", "unexpected")
        if self._watch is not None:
            self._watch.forget()
        now = time.monotonic()
        if self._failing_since_s is None:
            self._failing_since_s = now
        if now - self._failing_since_s > GIVE_UP_AFTER_S and not self._stopping.is_set():
            log.error("no round succeeded for %g s", GIVE_UP_AFTER_S)
            with contextlib.suppress(OSError):
                self._meters.write(self._run_folder)
            os._exit(1)
        self._stopping.wait(0.5)

    def _close_store(self) -> None:
        for one in (self._watch, self._store):
            if one is not None:
                with contextlib.suppress(StorageError):
                    one.close()
        self._watch = self._store = None


def run_or_end(rounds: Rounds) -> None:
    """The thread's work. A recorder without its thread would look alive and keep nothing: it must not outlive it."""
    try:
        rounds.run()
    except BaseException:
        log.exception("the recorder ends, and is started again")
        os._exit(1)
